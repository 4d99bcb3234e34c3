package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.plan.KvType;
import java.lang.foreign.Arena;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Rows that are added where they lie have the bits of those that go by way of panels. */
class ValueKernelsTest {
  private static final int[] UNITS = {0, 4, 12, 13, 21, 22, 30};
  private static final int TOKENS = UNITS[UNITS.length - 1];

  @ParameterizedTest
  @CsvSource({"1,1", "1,2", "2,1", "2,3", "3,1", "3,2"})
  void addAsPanelsDo(int queries, int blocks) {
    Random random = new Random(7L * queries + blocks);
    int width = blocks * 4 * Lanes.N;
    int stride = TOKENS + Lanes.N;
    assertThat(ValueKernels.take(queries, width)).isTrue();
    try (Arena arena = Arena.ofConfined()) {
      float[] weights = floats(random, queries * stride);
      float[] direct = floats(random, queries * width);
      float[] byPanels = direct.clone();
      float[] panels = new float[TOKENS * width];
      long[] rows = new long[UNITS.length - 1];
      for (int unit = 0; unit < rows.length; unit++) {
        int count = UNITS[unit + 1] - UNITS[unit];
        rows[unit] = arena.allocate(2L * count * width, 64).address();
        for (long i = 0; i < (long) count * width; i++) {
          Memory.putShort(rows[unit] + 2 * i, Bfloat16.round((float) random.nextGaussian()));
        }
        PanelKernels.ofRows(
            KvType.BF16, rows[unit], count, width, panels, TOKENS, UNITS[unit], width);
      }
      for (int[] units : new int[][] {{0, 2}, {2, rows.length}}) {
        ValueKernels.add(rows, UNITS, units[0], units[1], weights, stride, queries, width, direct);
        int from = UNITS[units[0]];
        TileKernels.multiplyAdd(
            weights,
            from,
            stride,
            queries,
            panels,
            from * TileKernels.COLUMNS,
            TOKENS * TileKernels.COLUMNS,
            UNITS[units[1]] - from,
            width,
            byPanels,
            0,
            width);
      }
      assertThat(direct).isEqualTo(byPanels);
    }
  }

  private static float[] floats(Random random, int count) {
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      floats[i] = (float) random.nextGaussian();
    }
    return floats;
  }
}
