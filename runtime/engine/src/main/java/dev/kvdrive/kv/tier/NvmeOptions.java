package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.Workspace;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;

/**
 * How the NVMe tier does its I/O. Its size is part of {@link dev.kvdrive.plan.EngineSizes}.
 *
 * @param directory where the extent files lie; made if missing; used by one process at a time
 * @param direct whether to bypass the page cache
 * @param threads I/O threads, and reads or writes in flight at most; with two or more, half of them
 *     at most write at a time
 * @param demotionTimeout how long making room in DRAM may wait for writes before the sequence that
 *     needs the room is refused
 * @param writesPerDay bytes that may be written in 24 hours; 0 for no limit
 * @param clock by which hours are counted
 * @param files makes the files of extents
 */
public record NvmeOptions(
    Path directory,
    Direct direct,
    int threads,
    Duration demotionTimeout,
    long writesPerDay,
    InstantSource clock,
    ExtentFile.Opener files) {
  /** Use of O_DIRECT. */
  public enum Direct {
    /** O_DIRECT where the filesystem grants it; otherwise a warning and the page cache. */
    PREFERRED,
    /** O_DIRECT, or an error at start. */
    REQUIRED,
    /** The page cache. */
    OFF
  }

  /** I/O threads unless said otherwise, and at most: plans have a buffer for each. */
  public static final int DEFAULT_THREADS = Workspace.IO_BUFFERS;

  /** Bound of {@code demotionTimeout} unless said otherwise. */
  public static final Duration DEFAULT_DEMOTION_TIMEOUT = Duration.ofSeconds(30);

  public NvmeOptions {
    if (threads < 1 || threads > DEFAULT_THREADS) {
      throw new IllegalArgumentException(
          "the NVMe tier needs 1 to %d I/O threads, got %d".formatted(DEFAULT_THREADS, threads));
    }
    if (demotionTimeout.isNegative() || demotionTimeout.isZero()) {
      throw new IllegalArgumentException(
          "the demotion timeout must be positive, got " + demotionTimeout);
    }
    if (writesPerDay < 0) {
      throw new IllegalArgumentException(
          "the bytes written a day must not be negative, got " + writesPerDay);
    }
  }

  /** The defaults for a directory. */
  public static NvmeOptions in(Path directory) {
    return new NvmeOptions(directory, Direct.PREFERRED, DEFAULT_THREADS, DEFAULT_DEMOTION_TIMEOUT);
  }

  /** Without a limit of what is written, in files of the operating system. */
  public NvmeOptions(Path directory, Direct direct, int threads, Duration demotionTimeout) {
    this(
        directory,
        direct,
        threads,
        demotionTimeout,
        0,
        InstantSource.system(),
        ExtentFile.Opener.FILES);
  }

  /**
   * The same with a limit of what is written.
   *
   * @param bytesPerDay in any 24 hours; 0 for no limit
   */
  public NvmeOptions withWritesPerDay(long bytesPerDay, InstantSource hours) {
    return new NvmeOptions(directory, direct, threads, demotionTimeout, bytesPerDay, hours, files);
  }

  /** The same with files that another makes. */
  public NvmeOptions withFiles(ExtentFile.Opener opener) {
    return new NvmeOptions(
        directory, direct, threads, demotionTimeout, writesPerDay, clock, opener);
  }
}
