package dev.kvdrive.kv.tier;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Extent files on a real filesystem that fail on demand: each read and write draws from a seeded
 * source which fault it suffers, if any. Thread-safe; may be changed while it is in use.
 */
public final class FaultyFiles implements ExtentFile.Opener {
  /** What can go wrong. */
  public enum Fault {
    /** Input/output error. */
    READ_EIO,
    /** Fewer bytes than asked for. */
    SHORT_READ,
    /** One bit of what is read is wrong, this time only. */
    FLIP_ON_READ,
    /** Input/output error. */
    WRITE_EIO,
    /** No space left on device. */
    WRITE_ENOSPC,
    /** Fewer bytes than asked for are written. */
    SHORT_WRITE,
    /** The write is acknowledged and never happens: what is read later is stale. */
    LOST_WRITE,
    /** One bit of what is written is wrong for good. */
    FLIP_ON_WRITE,
    /** The write lands one extent further: what is read there is another's. */
    MISPLACED_WRITE
  }

  private static final long MAX_HOLD_SECONDS = 60;
  private static final String SLOW = "SLOW";

  private final Random random;
  private final int extentBytes;
  private final Map<Fault, Double> shares = new EnumMap<>(Fault.class);
  private final Set<Fault> next = EnumSet.noneOf(Fault.class);
  private final Map<String, Integer> injected = new TreeMap<>();
  private boolean directRefused;
  private boolean spaceRefused;
  private volatile CountDownLatch gate = new CountDownLatch(0);
  private final List<CountDownLatch> releasable = new ArrayList<>();
  private @Nullable CountDownLatch held;
  private volatile long delayMillis;
  private volatile @Nullable Supplier<RuntimeException> thrown;

  /**
   * @param extentBytes bytes of one extent, for {@link Fault#MISPLACED_WRITE}
   */
  public FaultyFiles(long seed, int extentBytes) {
    random = new Random(seed);
    this.extentBytes = extentBytes;
  }

  /** From now on this share of the accesses of its kind suffers the fault. */
  public synchronized FaultyFiles with(Fault fault, double share) {
    shares.put(fault, share);
    return this;
  }

  /** The next access of its kind, and only that, suffers the fault. */
  public synchronized FaultyFiles once(Fault fault) {
    next.add(fault);
    return this;
  }

  /** From now on nothing fails. */
  public synchronized void heal() {
    shares.clear();
    next.clear();
  }

  /** Opening with O_DIRECT is refused, as some filesystems do. */
  public FaultyFiles refuseDirect() {
    directRefused = true;
    return this;
  }

  /** Making a file fails for lack of space. */
  public FaultyFiles refuseSpace() {
    spaceRefused = true;
    return this;
  }

  /** From now on every access waits until {@link #release}: a disk that does not answer. */
  public synchronized void hold() {
    gate = new CountDownLatch(1);
    releasable.add(gate);
  }

  /**
   * From now on every access waits; those that came before {@link #release} until the result is
   * run, later ones not.
   */
  public Runnable holdUntilReleased() {
    CountDownLatch late = new CountDownLatch(1);
    gate = late;
    return late::countDown;
  }

  /** The next access, and only that, waits until {@link #release}. */
  public synchronized void holdNext() {
    held = new CountDownLatch(1);
    releasable.add(held);
  }

  /** From now on each access takes so long. */
  public void slow(long millis) {
    delayMillis = millis;
  }

  /** From now on each read throws this; nothing if null. */
  public void throwing(@Nullable Supplier<RuntimeException> error) {
    thrown = error;
  }

  /** Lets accesses go on: from now on all, and those that {@link #hold} and its like hold. */
  public synchronized void release() {
    gate = new CountDownLatch(0);
    held = null;
    releasable.forEach(CountDownLatch::countDown);
    releasable.clear();
  }

  /** Faults injected so far, accesses that were only slow aside. */
  public synchronized int injected() {
    return injected.values().stream().mapToInt(Integer::intValue).sum()
        - injected.getOrDefault(SLOW, 0);
  }

  /** Faults injected so far, by kind. */
  public synchronized Map<String, Integer> injectedByKind() {
    return new TreeMap<>(injected);
  }

  private synchronized void count(String kind) {
    injected.merge(kind, 1, Integer::sum);
  }

  @Override
  public ExtentFile create(Path path, long bytes, boolean direct) throws IOException {
    if (spaceRefused) {
      throw new IOException(path + ": no space left on device");
    }
    ExtentFile file = ExtentFile.Opener.FILES.create(path, bytes, direct && !directRefused);
    if (direct && directRefused) {
      file.close();
      throw new IOException(path + ": Invalid argument");
    }
    return new FaultyFile(file, bytes);
  }

  private synchronized @Nullable Fault draw(Fault... candidates) {
    for (Fault fault : candidates) {
      if (next.remove(fault) || random.nextDouble() < shares.getOrDefault(fault, 0.0)) {
        count(fault.name());
        return fault;
      }
    }
    return null;
  }

  private synchronized int draw(int bound) {
    return random.nextInt(bound);
  }

  private synchronized @Nullable CountDownLatch takeHeld() {
    CountDownLatch taken = held;
    held = null;
    return taken;
  }

  private void pass() throws IOException {
    try {
      CountDownLatch mine = takeHeld();
      CountDownLatch all = gate;
      if (mine != null || all.getCount() > 0) {
        count("HANGING");
      } else if (delayMillis > 0) {
        count(SLOW);
      }
      if (mine != null && !mine.await(MAX_HOLD_SECONDS, TimeUnit.SECONDS)) {
        throw new IOException("held for too long");
      }
      if (delayMillis > 0) {
        TimeUnit.MILLISECONDS.sleep(delayMillis);
      }
      if (!all.await(MAX_HOLD_SECONDS, TimeUnit.SECONDS)) {
        throw new IOException("held for too long");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  private final class FaultyFile implements ExtentFile {
    private final ExtentFile file;
    private final long bytes;

    FaultyFile(ExtentFile file, long bytes) {
      this.file = file;
      this.bytes = bytes;
    }

    @Override
    public int read(ByteBuffer target, long offset) throws IOException {
      pass();
      Supplier<RuntimeException> error = thrown;
      if (error != null) {
        throw error.get();
      }
      Fault fault = draw(Fault.READ_EIO, Fault.SHORT_READ, Fault.FLIP_ON_READ);
      if (fault == Fault.READ_EIO) {
        throw new IOException("Input/output error");
      }
      if (fault == Fault.SHORT_READ) {
        target.limit(target.position() + target.remaining() / 2 / 4096 * 4096);
        return target.hasRemaining() ? file.read(target, offset) : 0;
      }
      int start = target.position();
      int got = file.read(target, offset);
      if (fault == Fault.FLIP_ON_READ && got > 0) {
        flip(target, start + draw(got));
      }
      return got;
    }

    @Override
    public int write(ByteBuffer source, long offset) throws IOException {
      pass();
      Fault fault =
          draw(
              Fault.WRITE_EIO,
              Fault.WRITE_ENOSPC,
              Fault.SHORT_WRITE,
              Fault.LOST_WRITE,
              Fault.FLIP_ON_WRITE,
              Fault.MISPLACED_WRITE);
      if (fault == null) {
        return file.write(source, offset);
      }
      return switch (fault) {
        case WRITE_EIO -> throw new IOException("Input/output error");
        case WRITE_ENOSPC -> throw new IOException("No space left on device");
        case SHORT_WRITE -> 0;
        case LOST_WRITE -> skip(source);
        case FLIP_ON_WRITE -> writeFlipped(source, offset);
        case MISPLACED_WRITE -> file.write(source, (offset + extentBytes) % bytes);
        case READ_EIO, SHORT_READ, FLIP_ON_READ -> throw new IllegalStateException();
      };
    }

    private static int skip(ByteBuffer source) {
      int all = source.remaining();
      source.position(source.limit());
      return all;
    }

    private int writeFlipped(ByteBuffer source, long offset) throws IOException {
      int all = source.remaining();
      ByteBuffer copy =
          ByteBuffer.allocateDirect(all + 4096).alignedSlice(4096).limit(all).put(source);
      flip(copy, draw(all));
      return file.write(copy.flip(), offset);
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }

  private void flip(ByteBuffer buffer, int at) {
    buffer.put(at, (byte) (buffer.get(at) ^ (1 << draw(8))));
  }
}
