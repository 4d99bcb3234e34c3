package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Weights become the floats that {@link Dequantizer} makes of them, bit for bit. */
class UnpackKernelsTest {
  private static final int L = Lanes.N;

  @ParameterizedTest
  @EnumSource
  void agreesWithTheDequantizer(TensorType type) {
    try (Arena arena = Arena.ofConfined()) {
      for (int blocks : new int[] {1, 2, 3, 16, 33, 171}) {
        for (int seed = 0; seed < 20; seed++) {
          int cols = blocks * type.blockElements();
          TensorData tensor = RandomWeights.tensor(arena, type, 1, cols, seed);
          float[] expected = Dequantizer.floats(tensor);
          int vectors = (cols + L - 1) / L;
          int step = 3 * L;
          float[] got = new float[7 + vectors * step];
          Arrays.fill(got, 99);
          UnpackKernels.vectors(type, tensor.data().address(), cols, got, 7, step);
          for (int i = 0; i < vectors * L; i++) {
            float want = i < cols ? expected[i] : 0;
            assertSame(got[7 + i / L * step + i % L], want, type + " element " + i);
          }
          for (int i = 0; i < got.length; i++) {
            if (i < 7 || (i - 7) % step >= L) {
              assertThat(got[i]).as("between the vectors").isEqualTo(99);
            }
          }
        }
      }
    }
  }

  /** Subnormals, infinities and NaNs included. */
  @Test
  void widensEveryHalfPrecisionFloat() {
    try (Arena arena = Arena.ofConfined()) {
      for (TensorType type : new TensorType[] {TensorType.F16, TensorType.BF16}) {
        MemorySegment all = arena.allocate(2 << 16, 64);
        for (int i = 0; i < 1 << 16; i++) {
          all.set(Memory.SHORT, 2L * i, (short) i);
        }
        float[] expected = Dequantizer.floats(new TensorData("all", type, 1, 1 << 16, all));
        float[] got = new float[1 << 16];
        UnpackKernels.vectors(type, all.address(), 1 << 16, got, 0, L);
        for (int i = 0; i < 1 << 16; i++) {
          assertSame(got[i], expected[i], type + " bits " + Integer.toHexString(i));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void writesLongRowsToNativeMemory(TensorType type) {
    try (Arena arena = Arena.ofConfined()) {
      int cols = type.blockElements() * (type.blockElements() == 1 ? 4999 : 80);
      TensorData tensor = RandomWeights.tensor(arena, type, 1, cols, 5);
      MemorySegment to = arena.allocate(4L * cols + 8, 64);
      to.fill((byte) 0x11);
      UnpackKernels.floats(type, tensor.data().address(), cols, to.address() + 4);
      float[] expected = Dequantizer.floats(tensor);
      for (int i = 0; i < cols; i++) {
        assertSame(to.get(Memory.FLOAT, 4L * i + 4), expected[i], type + " element " + i);
      }
      assertThat(to.get(Memory.INT, 0)).isEqualTo(0x11111111);
      assertThat(to.get(Memory.INT, 4L * cols + 4)).isEqualTo(0x11111111);
    }
  }

  private static void assertSame(float got, float want, String what) {
    assertThat(Float.floatToIntBits(got)).as(what).isEqualTo(Float.floatToIntBits(want));
  }
}
