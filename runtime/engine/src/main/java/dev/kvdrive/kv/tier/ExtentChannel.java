package dev.kvdrive.kv.tier;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashSet;
import java.util.Set;

/** An {@link ExtentFile} on a filesystem. */
final class ExtentChannel implements ExtentFile {
  private final FileChannel channel;
  private final long writtenAtStart;

  private ExtentChannel(FileChannel channel, long writtenAtStart) {
    this.channel = channel;
    this.writtenAtStart = writtenAtStart;
  }

  /** Readable and writable by nobody else: it holds what users said. */
  static ExtentFile create(Path path, long bytes, boolean direct) throws IOException {
    Files.createFile(
        path, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    long written = Preallocation.allocate(path, bytes);
    Set<OpenOption> options =
        new HashSet<>(
            Set.of(StandardOpenOption.READ, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS));
    if (direct) {
      options.add(bypassPageCache());
    }
    try {
      return new ExtentChannel(FileChannel.open(path, options), written);
    } catch (UnsupportedOperationException e) {
      throw new IOException("this platform has no O_DIRECT", e);
    }
  }

  /**
   * The option that opens with O_DIRECT. It is exported by jdk.unsupported, about which the
   * compiler warns without a way to tell it that this is known; hence by name.
   */
  private static OpenOption bypassPageCache() throws IOException {
    try {
      for (Object option :
          Class.forName("com.sun.nio.file.ExtendedOpenOption").getEnumConstants()) {
        if (option.toString().equals("DIRECT")) {
          return (OpenOption) option;
        }
      }
    } catch (ClassNotFoundException e) {
      throw new IOException("this Java runtime lacks the module jdk.unsupported", e);
    }
    throw new IOException("this Java runtime has no O_DIRECT");
  }

  @Override
  public long writtenAtStart() {
    return writtenAtStart;
  }

  @Override
  public int read(ByteBuffer target, long offset) throws IOException {
    return channel.read(target, offset);
  }

  @Override
  public int write(ByteBuffer source, long offset) throws IOException {
    return channel.write(source, offset);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
