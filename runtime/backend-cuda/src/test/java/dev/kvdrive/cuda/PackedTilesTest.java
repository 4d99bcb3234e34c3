package dev.kvdrive.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.WeightFormat;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Packed matrices as the product reads them, by what the matrix instruction says of its lanes. */
class PackedTilesTest {
  private static final int WARP = 32;

  @ParameterizedTest
  @CsvSource({
    "Q8_0, 32, 16",
    "Q8_0, 96, 37",
    "Q8_0, 576, 40+8+24",
    "Q8_0, 64, 1+5+2",
    "Q4_0, 32, 16",
    "Q4_0, 96, 37",
    "Q4_0, 576, 40+8+24",
  })
  void lanesFindTheirElementsOfEveryRow(TensorType type, int cols, String parts) {
    Random random = new Random(7);
    try (Arena arena = Arena.ofShared()) {
      List<TensorData> tensors = new ArrayList<>();
      List<float[]> expected = new ArrayList<>();
      for (int rows :
          Pattern.compile("\\+").splitAsStream(parts).mapToInt(Integer::parseInt).toArray()) {
        TensorData tensor = blocks(arena, random, type, rows, cols);
        tensors.add(tensor);
        for (int row = 0; row < tensor.rows(); row++) {
          float[] values = new float[cols];
          Dequantizer.row(tensor, row, values, 0);
          expected.add(values);
        }
      }
      WeightFormat format = WeightFormat.of(type.name(), expected.size());
      PackedTiles tiles = new PackedTiles(format, tensors);
      assertThat(tiles.count() * tiles.bytes()).isEqualTo(format.bytes(expected.size(), cols));
      MemorySegment out = arena.allocate(tiles.count() * tiles.bytes(), 16).fill((byte) 0x5a);
      // In two pieces, as a staging block would be filled.
      int first = tiles.count() / 2;
      tiles.write(0, first, out);
      tiles.write(first, tiles.count() - first, out.asSlice(first * tiles.bytes()));

      for (int row = 0; row < tiles.count() * WeightFormat.TILE_ROWS; row++) {
        float[] values = row < expected.size() ? expected.get(row) : new float[cols];
        for (int i = 0; i < cols; i++) {
          assertThat(element(format, out, cols, row, i) + 0f)
              .as("row %d, element %d", row, i)
              .isEqualTo(values[i] + 0f);
        }
      }
    }
  }

  /** What the kernel takes for element {@code i} of a row. */
  private static float element(WeightFormat format, MemorySegment tiles, int cols, int row, int i) {
    int blocks = cols / WeightFormat.BLOCK;
    long block = (long) row / 16 * blocks + i / 32;
    MemorySegment record = tiles.asSlice(block * format.tileBlockBytes(), format.tileBlockBytes());
    int group = row % 8;
    int lane = 4 * group + i % 32 / 8;
    int words = format.bits() / 2;
    int half = row % 16 / 8;
    // Pairs 0 to 3 of the row: elements 2p and 2p + 1 are in the halves of a word.
    int pair = i % 8 / 2;
    int word =
        record.getAtIndex(
            ValueLayout.JAVA_INT_UNALIGNED,
            (long) lane * words + (words == 4 ? 2 * half + pair / 2 : half));
    int shift = words == 4 ? 8 * (pair % 2) : 4 * pair;
    int low = word >>> (shift + 16 * (i % 2));
    int number = words == 4 ? (byte) low : (low & 15) - 8;
    float step =
        Float.float16ToFloat(
            record.get(
                ValueLayout.JAVA_SHORT_UNALIGNED, 4L * words * WARP + 4L * group + 2L * half));
    return number * step;
  }

  private static TensorData blocks(
      Arena arena, Random random, TensorType type, int rows, int cols) {
    byte[] bytes = new byte[(int) (rows * type.bytes(cols))];
    random.nextBytes(bytes);
    MemorySegment data = arena.allocate(bytes.length, 32);
    MemorySegment.copy(bytes, 0, data, ValueLayout.JAVA_BYTE, 0, bytes.length);
    for (long at = 0; at < bytes.length; at += type.blockBytes()) {
      data.set(
          ValueLayout.JAVA_SHORT_UNALIGNED,
          at,
          Float.floatToFloat16((float) random.nextGaussian() / 100));
    }
    return new TensorData("random", type, rows, cols, data);
  }
}
