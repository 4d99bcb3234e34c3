package dev.kvdrive.model.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;

import dev.kvdrive.model.Golden;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Random blocks become the floats that ggml's own Python package makes of them. */
class DequantizerTest {
  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "F32")
  void agreesWithTheGgufPackage(TensorType type) throws IOException {
    byte[] blocks = Files.readAllBytes(Golden.file("dequantisers/" + type + ".blocks"));
    float[] expected = new float[1024];
    ByteBuffer.wrap(Files.readAllBytes(Golden.file("dequantisers/" + type + ".f32")))
        .order(ByteOrder.LITTLE_ENDIAN)
        .asFloatBuffer()
        .get(expected);
    TensorData tensor = new TensorData("golden", type, 4, 256, MemorySegment.ofArray(blocks));
    float[] row = new float[256 + 3];
    for (int r = 0; r < 4; r++) {
      Dequantizer.row(tensor, r, row, 3);
      for (int i = 0; i < 256; i++) {
        float want = expected[256 * r + i];
        assertThat(row[3 + i])
            .as("row %d element %d", r, i)
            .isCloseTo(want, offset(Math.abs(want) * 1e-6f + 1e-6f));
      }
    }
    assertThat(Dequantizer.floats(tensor)).hasSize(1024);
  }
}
