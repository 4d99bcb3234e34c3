package dev.kvdrive.plan;

/**
 * How much of a volume files can have. A filesystem takes a part of the volume it is made on:
 * tables of inodes, a journal, and with ext4's defaults 5 % that only root may write. The part is
 * largest where nobody looks: on small volumes.
 *
 * <p>Measured with {@code posix_fallocate} as an ordinary user on fresh filesystems, in percent of
 * the volume ({@code docs/decisions/0098} has the versions and all sizes):
 *
 * <pre>
 * volume      ext4  ext4 -m0   xfs   reckoned here
 *  64 MiB     78.4      83.4     -       71.0
 * 256 MiB     83.2      88.2     -       71.0
 * 300 MiB     84.0      89.0  73.0       71.0
 * 512 MiB     88.1      93.2  81.8       79.5
 *   1 GiB     88.5      93.5  89.9       85.7
 *   2 GiB     89.2      94.2  94.6       88.8
 *  16 GiB     92.3      97.3  98.7       91.6
 * 100 GiB     92.9      97.9  99.2       91.9
 *   1 TiB     93.3      98.3  99.2       92.0
 * </pre>
 */
public final class VolumeSpace {
  /** Of a large volume, the percentage that a filesystem may take. */
  static final int LARGE_PERCENT = 8;

  /** Of a large volume, what a filesystem may take beside that: its journal. */
  static final long LARGE_BASE = 64 * ByteSize.MIB;

  /** Of a small volume, the percentage that a filesystem may take, journal included. */
  static final int SMALL_PERCENT = 29;

  /** One part in this many of what is free may go to the blocks that say where a file's are. */
  private static final int MAPPING_PART = 1024;

  private static final long MAPPING_BASE = 64 * 1024;

  private VolumeSpace() {}

  /** Bytes that files can have at least on a volume of {@code volumeBytes}. */
  public static long usable(long volumeBytes) {
    return volumeBytes - reserve(volumeBytes);
  }

  private static long reserve(long volumeBytes) {
    return Math.min(
        percent(SMALL_PERCENT, volumeBytes), LARGE_BASE + percent(LARGE_PERCENT, volumeBytes));
  }

  /** Rounded up, without a product that could overflow. */
  private static long percent(int percent, long bytes) {
    return bytes / 100 * percent + Math.ceilDiv(bytes % 100 * percent, 100);
  }

  /** The smallest volume in whole mebibytes on which files can have {@code bytes}. */
  public static long volumeFor(long bytes) {
    double small = bytes * 100.0 / (100 - SMALL_PERCENT);
    double large = (bytes + LARGE_BASE) * 100.0 / (100 - LARGE_PERCENT);
    // Whichever reserve is less is the one that counts. The estimate may be off by its rounding.
    long mebibytes = Math.max(0, (long) (Math.min(small, large) / ByteSize.MIB) - 1);
    while (usable(mebibytes * ByteSize.MIB) < bytes) {
      mebibytes++;
    }
    return mebibytes * ByteSize.MIB;
  }

  /**
   * Bytes that files can be made to have, all blocks allocated, where a filesystem says that {@code
   * freeBytes} are free.
   */
  public static long allocatable(long freeBytes) {
    return Math.max(0, freeBytes - freeBytes / MAPPING_PART - MAPPING_BASE);
  }
}
