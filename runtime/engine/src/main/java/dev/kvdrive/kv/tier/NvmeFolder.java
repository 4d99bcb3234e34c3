package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.VolumeSpace;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.jspecify.annotations.Nullable;

/**
 * A folder that can hold an NVMe tier: it exists, it is a folder, and this process may write there.
 *
 * @param path of the folder itself, without symbolic links
 * @param filesystem its type as the operating system names it, for instance {@code ext4}
 */
public record NvmeFolder(Path path, String filesystem) {
  /**
   * Looks at a folder, which is made if it is missing, for its owner only.
   *
   * @throws IOException if it cannot hold an NVMe tier; the message says why and what would help
   */
  public static NvmeFolder open(Path directory) throws IOException {
    if (Files.exists(directory) && !Files.isDirectory(directory)) {
      throw new IOException("it is not a directory");
    }
    try {
      if (!Files.exists(directory)) {
        Files.createDirectories(
            directory,
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      }
      Path real = directory.toRealPath();
      // Not asked for but tried: permissions are one reason of several.
      Files.delete(Files.createTempFile(real, "kvdrive", null));
      return new NvmeFolder(real, Files.getFileStore(real).type());
    } catch (AccessDeniedException e) {
      throw new IOException(
          "user %s may not write there".formatted(System.getProperty("user.name")), e);
    } catch (FileSystemException e) {
      throw new IOException(
          e.getReason() == null ? "it cannot be made or written (" + e + ")" : e.getReason(), e);
    }
  }

  /**
   * Bytes that extent files can have there: what is free, and what left-overs of an engine that
   * ended without removing its files take.
   */
  public long roomBytes() throws IOException {
    return VolumeSpace.allocatable(
        Files.getFileStore(path).getUsableSpace() + ExtentFiles.leftOverBytes(path));
  }

  /** Why an NVMe tier there would not be one, with the way out; null if it would. */
  public @Nullable String refusal() {
    return switch (filesystem) {
      case "tmpfs", "ramfs" ->
          "its filesystem is %s, which is memory: extents there would count as memory of this machine or container beside the DRAM tier; name a folder on a drive, or give DRAM that memory and leave NVMe out"
              .formatted(filesystem);
      default -> null;
    };
  }

  /** What is to be expected of an NVMe tier there, with the way out; null if nothing bad. */
  public @Nullable String warning() {
    return switch (filesystem) {
      case "tmpfs", "ramfs" -> refusal();
      case "btrfs", "zfs", "bcachefs" ->
          "its filesystem is %s, which writes a changed block to a new place: space that was allocated can run out, and O_DIRECT does not bypass its checksums; use ext4 or xfs%s"
              .formatted(
                  filesystem,
                  filesystem.equals("btrfs")
                      ? ", or switch copying off for the empty folder before the start: chattr +C"
                      : "");
      case "overlay" ->
          "its filesystem is overlay, a layer of the container on the disk of the node and no volume of its own; mount a volume there";
      case "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "virtiofs" ->
          "its filesystem is %s, where every read goes to another machine; use a local drive"
              .formatted(filesystem);
      default -> null;
    };
  }
}
