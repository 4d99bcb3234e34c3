package dev.kvdrive.kv.tier;

import dev.kvdrive.device.Mailbox;
import dev.kvdrive.kv.extent.ExtentLabel;
import dev.kvdrive.kv.extent.ExtentSeal;
import dev.kvdrive.kv.extent.ExtentSpace;
import dev.kvdrive.kv.tier.StepFaults.Reason;
import dev.kvdrive.plan.KvLayout;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * One I/O thread of the NVMe tier: does what {@link NvmeIo} has for it. Reads are checked and, with
 * writes, repeated once. Whatever a task throws ends the task and not the thread.
 */
final class IoThread {
  private static final int ATTEMPTS = 2;

  private final NvmeIo io;
  private final ExtentFiles files;
  private final ExtentSpace space;
  private final KvLayout layout;
  private final MemorySegment frames;
  private final Mailbox mailbox;
  private final MemorySegment buffer;
  private final ExtentSeal seal;
  private final Thread thread;

  /**
   * @param frames memory of all DRAM frames
   * @param buffer an aligned extent
   * @param seal of this thread
   */
  IoThread(
      int number,
      NvmeIo io,
      ExtentFiles files,
      ExtentSpace space,
      KvLayout layout,
      MemorySegment frames,
      Mailbox mailbox,
      MemorySegment buffer,
      ExtentSeal seal) {
    this.io = io;
    this.files = files;
    this.space = space;
    this.layout = layout;
    this.frames = frames;
    this.mailbox = mailbox;
    this.buffer = buffer;
    this.seal = seal;
    thread = new Thread(this::run, "kvdrive-nvme-" + number);
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  boolean isAlive() {
    return thread.isAlive();
  }

  void join(long deadlineNanos) {
    join(thread, deadlineNanos);
  }

  static void join(Thread thread, long deadlineNanos) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      long millis = TimeUnit.NANOSECONDS.toMillis(deadlineNanos - System.nanoTime());
      if (millis <= 0) {
        break;
      }
      try {
        thread.join(millis);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void run() {
    try {
      for (NvmeIo.Task task = io.next(); task != null; task = io.next()) {
        try {
          run(task);
        } catch (Throwable t) {
          io.failed(task, t);
        }
      }
    } catch (Throwable t) {
      io.died(thread.getName(), t);
    }
  }

  private void run(NvmeIo.Task task) {
    ReadJob read = task.read();
    WriteJob write = task.write();
    if (read != null) {
      read(task.round(), read);
    } else if (write != null) {
      write(write);
    } else {
      io.health().probed(files.probe());
    }
  }

  private void read(@Nullable ReadRound round, ReadJob job) {
    MemorySegment target = job.frame == ReadJob.NO_FRAME ? buffer : frame(job.frame);
    Throwable failure = null;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      failure = tryRead(job, target);
      if (failure == null) {
        break;
      }
      io.health().countError();
    }
    Reason reason = null;
    if (failure != null) {
      reason = Reason.unreadable(space.name(job.extent), ExtentFiles.reason(failure), failure);
      io.health().log("%s (%s)".formatted(reason.message(), files.where(job.slot)), failure);
    }
    if (io.reads().hasRead(job, failure) && round != null) {
      for (int request = job.firstRequest; request >= 0; request = round.nextRequest(request)) {
        if (failure == null) {
          deliver(round, request, target);
        } else {
          mailbox.release(Mailbox.requestWord(request, 5), Mailbox.FAILED);
        }
      }
      io.reads().delivered(round, job, reason);
    }
  }

  private @Nullable Throwable tryRead(ReadJob job, MemorySegment target) {
    try {
      files.read(job.slot, target.asByteBuffer());
      seal.open(label(job.identity, job.extent), target, job.proof);
      return null;
    } catch (IOException | RuntimeException | Error e) {
      return e;
    }
  }

  private void deliver(ReadRound round, int request, MemorySegment extentBytes) {
    long chunkBytes = layout.backing().bytes();
    MemorySegment.copy(
        extentBytes,
        round.chunk[request] % layout.extentChunks() * chunkBytes,
        mailbox.transit().segment(),
        round.transit[request] * chunkBytes,
        chunkBytes);
    mailbox.release(Mailbox.requestWord(request, 5), Mailbox.DELIVERED);
  }

  private void write(WriteJob job) {
    MemorySegment source = frame(job.frame);
    Throwable failure = null;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) {
        files.writes().add(layout.extentBytes());
      }
      failure = tryWrite(job, source);
      if (failure == null) {
        break;
      }
      io.health().countError();
    }
    if (failure != null) {
      io.health()
          .log(
              "%s could not be written to %s: %s; it stays in DRAM"
                  .formatted(
                      space.name(job.extent), files.where(job.slot), ExtentFiles.reason(failure)),
              failure);
    }
    io.writes().hasWritten(job, failure);
  }

  private @Nullable Throwable tryWrite(WriteJob job, MemorySegment source) {
    try {
      MemorySegment sealed = seal.seal(label(job.identity, job.extent), source, buffer, job.proof);
      files.write(job.slot, sealed.asByteBuffer());
      return null;
    } catch (IOException | RuntimeException | Error e) {
      return e;
    }
  }

  private ExtentLabel label(long identity, int extent) {
    return new ExtentLabel(
        identity, space.layer(extent), space.kvHead(extent), space.extent(extent));
  }

  private MemorySegment frame(int frame) {
    return frames.asSlice((long) frame * layout.extentBytes(), layout.extentBytes());
  }
}
