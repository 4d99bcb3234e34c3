package dev.kvdrive.bench.simulate;

import dev.kvdrive.kv.window.WindowDivision;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.WindowOptions;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;

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

  static RecordingHeader read(DataInputStream in) throws IOException {
    if (!in.readUTF().equals(MAGIC)) {
      throw new IOException("it is not a recording of selections");
    }
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
    return new RecordingHeader(
        model,
        shape,
        in.readInt(),
        in.readInt(),
        in.readInt(),
        new WindowOptions(
            WindowOptions.Division.valueOf(in.readUTF()), in.readInt(), in.readBoolean()));
  }
}
