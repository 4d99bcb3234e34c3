package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.offset;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class MatmulTest {
  private static final int[] ROWS = {1, 2, 3, 7, 8, 9, 31, 33};

  /** Of the sum of the absolute products. */
  private static final double ERROR = 0x1p-20;

  /** Floats between one row of activations and the next that are no part of either. */
  private static final int GAP = 5;

  private static IntStream widths(TensorType type) {
    return switch (type.blockElements()) {
      case 1 -> IntStream.of(1, 5, 16, 33, 100, 257, 576, 1027);
      case 32 -> IntStream.of(32, 64, 96, 576, 1056);
      default -> IntStream.of(256, 512, 1280);
    };
  }

  @ParameterizedTest
  @EnumSource
  void isTheSumOfProducts(TensorType type) {
    widths(type)
        .forEach(
            cols -> {
              for (int outs : new int[] {1, 4, 37}) {
                sumsOfProducts(type, outs, cols);
              }
            });
  }

  private static void sumsOfProducts(TensorType type, int outs, int cols) {
    try (Arena arena = Arena.ofConfined();
        ComputePool pool = new ComputePool(2)) {
      TensorData tensor = RandomWeights.tensor(arena, type, outs, cols, 17L * cols + outs);
      double[] weights = Dequantizer.doubles(tensor);
      Matmul matmul = new Matmul(pool);
      CpuWeight weight = new CpuWeight("w", List.of(tensor), () -> {});
      Rows in = Rows.random(arena, 33, cols, cols);
      for (int rows : ROWS) {
        for (boolean add : new boolean[] {false, true}) {
          Rows out = Rows.random(arena, rows, outs, rows);
          float[][] before = out.values();
          matmul.multiply(
              weight, in.address(), in.stride(), rows, out.address(), out.stride(), add);
          float[][] after = out.values();
          for (int r = 0; r < rows; r++) {
            for (int o = 0; o < outs; o++) {
              double sum = add ? before[r][o] : 0;
              double absolute = Math.abs(sum);
              for (int i = 0; i < cols; i++) {
                double product = weights[o * cols + i] * in.at(r, i);
                sum += product;
                absolute += Math.abs(product);
              }
              assertThat((double) after[r][o])
                  .as("%s %dx%d rows %d add %s: row %d out %d", type, outs, cols, rows, add, r, o)
                  .isCloseTo(sum, offset(ERROR * absolute));
            }
            for (int i = outs; i < outs + GAP; i++) {
              assertThat(after[r][i]).isEqualTo(before[r][i]);
            }
          }
        }
      }
    }
  }

  /** Each row on its own, on one thread, gives the bits that it gets in any call. */
  @ParameterizedTest
  @EnumSource
  void hasTheSameBitsWhateverRowsAndThreads(TensorType type) {
    widths(type)
        .forEach(
            cols -> {
              int outs = 45;
              try (Arena arena = Arena.ofConfined()) {
                TensorData tensor = RandomWeights.tensor(arena, type, outs, cols, cols);
                CpuWeight weight = new CpuWeight("w", List.of(tensor), () -> {});
                Rows in = Rows.random(arena, 70, cols, cols);
                Rows alone = Rows.random(arena, 70, outs, 1);
                try (ComputePool pool = new ComputePool(1)) {
                  Matmul matmul = new Matmul(pool);
                  for (int r = 0; r < 70; r++) {
                    matmul.multiply(
                        weight, in.row(r), in.stride(), 1, alone.row(r), alone.stride(), false);
                  }
                }
                float[][] expected = alone.values();
                for (int threads = 1; threads <= 4; threads++) {
                  try (ComputePool pool = new ComputePool(threads)) {
                    Matmul matmul = new Matmul(pool);
                    for (int rows : new int[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 33, 64, 70}) {
                      Rows out = Rows.random(arena, rows, outs, 2);
                      matmul.multiply(
                          weight,
                          in.address(),
                          in.stride(),
                          rows,
                          out.address(),
                          out.stride(),
                          false);
                      float[][] got = out.values();
                      for (int r = 0; r < rows; r++) {
                        for (int o = 0; o < outs; o++) {
                          assertThat(Float.floatToRawIntBits(got[r][o]))
                              .as("%d threads, %d rows: row %d out %d", threads, rows, r, o)
                              .isEqualTo(Float.floatToRawIntBits(expected[r][o]));
                        }
                      }
                    }
                  }
                }
              }
            });
  }

  /** A stack of parts in different types is its parts, one after the other. */
  @ParameterizedTest
  @EnumSource
  void stacksPartsOfDifferentTypes(TensorType type) {
    try (Arena arena = Arena.ofConfined();
        ComputePool pool = new ComputePool(3)) {
      Matmul matmul = new Matmul(pool);
      List<TensorData> parts =
          Stream.of(type, TensorType.BF16, type, TensorType.Q8_0)
              .map(t -> RandomWeights.tensor(arena, t, 3 + t.blockBytes() % 7, 256, 5))
              .toList();
      CpuWeight stack = new CpuWeight("stack", parts, () -> {});
      Rows in = Rows.random(arena, 5, 256, 3);
      Rows whole = Rows.random(arena, 5, stack.rows(), 1);
      matmul.multiply(stack, in.address(), in.stride(), 5, whole.address(), whole.stride(), false);
      int first = 0;
      for (TensorData part : parts) {
        CpuWeight weight = new CpuWeight("part", List.of(part), () -> {});
        Rows out = Rows.random(arena, 5, part.rows(), 1);
        matmul.multiply(weight, in.address(), in.stride(), 5, out.address(), out.stride(), false);
        for (int r = 0; r < 5; r++) {
          for (int o = 0; o < part.rows(); o++) {
            assertThat(whole.at(r, first + o)).isEqualTo(out.at(r, o));
          }
        }
        first += part.rows();
      }
    }
  }

  /** Rows of floats with a gap between one and the next. */
  private record Rows(MemorySegment memory, int rows, int width) {
    static Rows random(Arena arena, int rows, int width, long seed) {
      SplittableRandom random = new SplittableRandom(seed);
      Rows made = new Rows(arena.allocate(4L * rows * (width + GAP) + 4, 64), rows, width);
      for (int r = 0; r < rows; r++) {
        for (int i = 0; i < width + GAP; i++) {
          Memory.putFloat(made.row(r) + 4L * i, (float) (random.nextDouble() * 2 - 1));
        }
      }
      return made;
    }

    /** Off by 4 from the alignment of vectors. */
    long address() {
      return memory.address() + 4;
    }

    long stride() {
      return 4L * (width + GAP);
    }

    long row(int row) {
      return address() + row * stride();
    }

    float at(int row, int index) {
      return Memory.getFloat(row(row) + 4L * index);
    }

    float[][] values() {
      float[][] values = new float[rows][width + GAP];
      for (int r = 0; r < rows; r++) {
        for (int i = 0; i < width + GAP; i++) {
          values[r][i] = at(r, i);
        }
      }
      return values;
    }
  }
}
