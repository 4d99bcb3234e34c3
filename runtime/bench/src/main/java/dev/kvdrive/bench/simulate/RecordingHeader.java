package dev.kvdrive.bench.simulate;

import dev.kvdrive.kv.window.WindowDivision;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.WindowOptions;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UTFDataFormatException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The engine that a recording was made with.
 *
 * @param model its name
 * @param shape of its windows
 * @param maxChunks closed chunks a sequence can have
 * @param chunkBytes bytes of a chunk
 * @param extentChunks chunks of an extent
 * @param windows how its windows were divided and filled
 */
public record RecordingHeader(
    String model,
    WindowDivision.Shape shape,
    int maxChunks,
    int chunkBytes,
    int extentChunks,
    WindowOptions windows) {
  private static final String MAGIC = "kvdrive selections 1";

  /** That of an engine. */
  public static RecordingHeader of(EngineSizes sizes) {
    return new RecordingHeader(
        sizes.geometry().name(),
        WindowDivision.Shape.of(sizes),
        sizes.maxChunks(),
        sizes.layout().resident().bytes(),
        sizes.layout().extentChunks(),
        sizes.windows());
  }

  RecordingHeader withSeats(int seats) {
    return new RecordingHeader(
        model,
        new WindowDivision.Shape(
            seats,
            shape.layers(),
            shape.heads(),
            shape.uniform(),
            shape.fewest(),
            shape.most(),
            shape.exact()),
        maxChunks,
        chunkBytes,
        extentChunks,
        windows);
  }

  void write(DataOutputStream out) throws IOException {
    out.writeUTF(MAGIC);
    out.writeUTF(model);
    out.writeInt(shape.seats());
    out.writeInt(shape.layers());
    out.writeInt(shape.heads());
    out.writeInt(shape.uniform());
    out.writeInt(shape.fewest());
    out.writeInt(shape.most());
    out.writeBoolean(shape.exact());
    out.writeInt(maxChunks);
    out.writeInt(chunkBytes);
    out.writeInt(extentChunks);
    out.writeUTF(windows.division().name());
    out.writeInt(windows.warmUpTokens());
    out.writeBoolean(windows.prefetch());
  }

  /** Whether what follows is a recording. */
  static boolean begins(DataInputStream in) throws IOException {
    byte[] magic = MAGIC.getBytes(StandardCharsets.US_ASCII);
    byte[] length = {0, (byte) magic.length};
    return Arrays.equals(in.readNBytes(length.length), length)
        && Arrays.equals(in.readNBytes(magic.length), magic);
  }

  /** Reads what follows {@linkplain #begins the beginning}. */
  static RecordingHeader read(DataInputStream in) throws IOException {
    String model = in.readUTF();
    var shape =
        new WindowDivision.Shape(
            in.readInt(),
            in.readInt(),
            in.readInt(),
            in.readInt(),
            in.readInt(),
            in.readInt(),
            in.readBoolean());
    try {
      return new RecordingHeader(
          model,
          shape,
          in.readInt(),
          in.readInt(),
          in.readInt(),
          new WindowOptions(
              WindowOptions.Division.valueOf(in.readUTF()), in.readInt(), in.readBoolean()));
    } catch (IllegalArgumentException | UTFDataFormatException e) {
      throw new Recording.DamagedException(String.valueOf(e.getMessage()));
    }
  }
}
