package dev.kvdrive.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/**
 * The host's side of a mailbox: a thread that serves rounds from the contents that a test made, as
 * the test says. Rings or not, it looks for itself.
 */
final class MailboxHost implements AutoCloseable {
  /** What becomes of a request. */
  enum Answer {
    DELIVER,
    FAIL,
    IGNORE
  }

  /** Decides about a request of a chunk. */
  interface Host {
    Answer answer(int seat, int kvHead, int chunk);
  }

  private static final long NAP_NANOS = 50_000;

  private final Mailbox mailbox;
  private final LayerContents contents;
  private final Host host;
  private final Thread thread;
  private final List<List<String>> rounds = new ArrayList<>();
  private volatile boolean closed;
  private volatile int announced;

  MailboxHost(LayerOnDevice layer, LayerContents contents, Host host) {
    this.mailbox = layer.mailbox;
    this.contents = contents;
    this.host = host;
    announced = mailbox.acquire(Mailbox.ROUND);
    thread = Thread.ofPlatform().name("mailbox host").start(this::serve);
  }

  private void serve() {
    while (!closed) {
      int round = mailbox.acquire(Mailbox.ROUND);
      if (round == announced) {
        LockSupport.parkNanos(NAP_NANOS);
        continue;
      }
      boolean all = true;
      List<String> requests = new ArrayList<>();
      int count = mailbox.acquire(Mailbox.COUNT);
      for (int request = 0; request < count; request++) {
        int[] words = new int[Mailbox.REQUEST_WORDS];
        for (int word = 0; word < words.length; word++) {
          words[word] = mailbox.acquire(Mailbox.requestWord(request, word));
        }
        requests.add(Arrays.toString(words));
        all &= answer(request, words);
      }
      requests.sort(null);
      synchronized (rounds) {
        rounds.add(requests);
      }
      if (all) {
        mailbox.release(Mailbox.SERVED, round);
      }
      announced = round;
    }
  }

  private boolean answer(int request, int[] words) {
    Answer answer = host.answer(words[1], words[2], words[3]);
    if (answer == Answer.IGNORE) {
      return false;
    }
    if (answer == Answer.DELIVER) {
      byte[] bytes = new byte[contents.layout.backing().bytes()];
      contents.writeBacking(words[1], words[2], words[3], bytes, 0);
      MemorySegment.copy(
          bytes,
          0,
          mailbox.transit().segment(),
          ValueLayout.JAVA_BYTE,
          (long) words[4] * bytes.length,
          bytes.length);
    }
    mailbox.release(
        Mailbox.requestWord(request, 5),
        answer == Answer.DELIVER ? Mailbox.DELIVERED : Mailbox.FAILED);
    return true;
  }

  /** Waits until the last round announced was looked at. */
  void awaitAnswers() {
    while (announced != mailbox.acquire(Mailbox.ROUND)) {
      LockSupport.parkNanos(NAP_NANOS);
    }
  }

  /** The requests of each round, all words, in an order that does not depend on the device. */
  List<List<String>> rounds() {
    synchronized (rounds) {
      return List.copyOf(rounds);
    }
  }

  @Override
  public void close() {
    closed = true;
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
