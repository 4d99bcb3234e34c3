package dev.kvdrive.plan;

import java.util.Arrays;
import java.util.Comparator;
import java.util.OptionalLong;

/**
 * Fresh filesystems and what they leave of their volume: mkfs.ext4 1.47.0 with its defaults and
 * with {@code -m 0}, mkfs.xfs 6.1.0, Linux 6.18.
 */
enum MeasuredVolume {
  EXT4_32MI(32, 71.829, 71.680),
  EXT4_64MI(64, 78.487, 78.418),
  EXT4_128MI(128, 82.409, 82.373),
  EXT4_256MI(256, 83.242, 83.228),
  EXT4_300MI(300, 84.034, 84.021),
  EXT4_384MI(384, 85.068, 85.059),
  EXT4_511MI(511, 85.938, 85.934),
  EXT4_512MI(512, 88.154, 88.147),
  EXT4_768MI(768, 89.148, 89.144),
  EXT4_1GI(1024, 88.496, 88.495),
  EXT4_1536MI(1536, 90.011, 90.007),
  EXT4_2GI(2048, 89.230, 89.227),
  EXT4_3GI(3072, 90.533, 90.531),
  EXT4_4GI(4096, 91.086, 91.086),
  EXT4_8GI(8192, 92.015, 92.014),
  EXT4_16GI(16384, 92.283, 92.283),
  EXT4_32GI(32768, 92.454, 92.454),
  EXT4_64GI(65536, 92.546, 92.546),
  EXT4_100GI(102400, 92.856, 92.856),
  EXT4_256GI(262144, 93.011, 93.011),
  EXT4_1TI(1048576, 93.324, 93.324),
  EXT4_2TI(2097152, 93.377, 93.377),
  EXT4_M0_32MI(32, 76.828, 76.758),
  EXT4_M0_64MI(64, 83.485, 83.398),
  EXT4_M0_128MI(128, 87.408, 87.402),
  EXT4_M0_256MI(256, 88.242, 88.232),
  EXT4_M0_300MI(300, 89.034, 89.021),
  EXT4_M0_384MI(384, 90.068, 90.055),
  EXT4_M0_511MI(511, 90.938, 90.937),
  EXT4_M0_512MI(512, 93.153, 93.152),
  EXT4_M0_768MI(768, 94.148, 94.141),
  EXT4_M0_1GI(1024, 93.496, 93.494),
  EXT4_M0_1536MI(1536, 95.010, 95.007),
  EXT4_M0_2GI(2048, 94.230, 94.229),
  EXT4_M0_3GI(3072, 95.533, 95.532),
  EXT4_M0_4GI(4096, 96.086, 96.086),
  EXT4_M0_8GI(8192, 97.015, 97.014),
  EXT4_M0_16GI(16384, 97.283, 97.283),
  EXT4_M0_32GI(32768, 97.454, 97.454),
  EXT4_M0_64GI(65536, 97.546, 97.546),
  EXT4_M0_100GI(102400, 97.856, 97.856),
  EXT4_M0_256GI(262144, 98.011, 98.011),
  EXT4_M0_1TI(1048576, 98.324, 98.324),
  EXT4_M0_2TI(2097152, 98.377, 98.377),
  XFS_300MI(300, 73.030, 73.021),
  XFS_384MI(384, 77.685, 77.669),
  XFS_511MI(511, 81.816, 81.813),
  XFS_512MI(512, 81.840, 81.836),
  XFS_768MI(768, 86.826, 86.816),
  XFS_1GI(1024, 89.944, 89.941),
  XFS_1536MI(1536, 93.064, 93.062),
  XFS_2GI(2048, 94.624, 94.623),
  XFS_3GI(3072, 96.184, 96.181),
  XFS_4GI(4096, 96.963, 96.962),
  XFS_8GI(8192, 98.133, 98.132),
  XFS_16GI(16384, 98.718, 98.717),
  XFS_32GI(32768, 99.010, 99.010),
  XFS_64GI(65536, 99.157, 99.156),
  XFS_100GI(102400, 99.209, 99.209),
  XFS_256GI(262144, 99.242, 99.242),
  XFS_1TI(1048576, 99.251, 99.251),
  XFS_2TI(2097152, 99.253, 99.253);

  private final long mebibytes;
  private final double freePercent;
  private final double allocatedPercent;

  /**
   * @param freePercent what statvfs says an ordinary user can have
   * @param allocatedPercent what posix_fallocate gave one in extents of 64 KiB
   */
  MeasuredVolume(long mebibytes, double freePercent, double allocatedPercent) {
    this.mebibytes = mebibytes;
    this.freePercent = freePercent;
    this.allocatedPercent = allocatedPercent;
  }

  long bytes() {
    return mebibytes * ByteSize.MIB;
  }

  long free() {
    return (long) (bytes() * freePercent / 100);
  }

  long allocated() {
    return (long) (bytes() * allocatedPercent / 100);
  }

  private String filesystem() {
    return name().substring(0, name().lastIndexOf('_'));
  }

  /**
   * What a filesystem like this one and its next larger sister leaves of a volume between the two;
   * empty if there is none, or the volume is not between them.
   */
  OptionalLong between(long volumeBytes) {
    return Arrays.stream(values())
        .filter(v -> v.filesystem().equals(filesystem()) && v.mebibytes > mebibytes)
        .min(Comparator.comparingLong(MeasuredVolume::bytes))
        .filter(larger -> volumeBytes >= bytes() && volumeBytes <= larger.bytes())
        .map(
            larger -> {
              double way = (double) (volumeBytes - bytes()) / (larger.bytes() - bytes());
              long more = (long) (way * (larger.allocated() - allocated()));
              return OptionalLong.of(allocated() + more);
            })
        .orElse(OptionalLong.empty());
  }
}
