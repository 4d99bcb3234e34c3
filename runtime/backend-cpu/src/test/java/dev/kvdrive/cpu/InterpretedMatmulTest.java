package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/**
 * What has been compiled, and how well, changes nothing: an interpreting JVM gives the same bits.
 */
class InterpretedMatmulTest {
  private static final int OUTS = 11;
  private static final int COLS = 512;

  /** What the other JVM runs. */
  static final class Results {
    private Results() {}

    @SuppressWarnings("SystemOut")
    public static void main(String[] args) {
      System.out.println("bits " + bits(1));
    }
  }

  /**
   * Hashes of the results of every type with one, few and many rows.
   *
   * @param times each multiplication is done; the results must be equal
   */
  private static String bits(int times) {
    StringBuilder bits = new StringBuilder();
    try (Arena arena = Arena.ofShared();
        ComputePool pool = new ComputePool(2)) {
      Matmul matmul = new Matmul(pool);
      for (TensorType type : TensorType.values()) {
        CpuWeight weight =
            new CpuWeight("w", List.of(RandomWeights.tensor(arena, type, OUTS, COLS, 7)), () -> {});
        for (int rows : new int[] {1, 3, 13}) {
          TensorData in = RandomWeights.tensor(arena, TensorType.F32, rows, COLS, 9);
          MemorySegment out = arena.allocate(4L * rows * OUTS, 64);
          long first = 0;
          for (int i = 0; i < times; i++) {
            matmul.multiply(
                weight, in.data().address(), 4L * COLS, rows, out.address(), 4L * OUTS, false);
            long hash = 1;
            for (int k = 0; k < rows * OUTS; k++) {
              hash = 31 * hash + out.get(Memory.INT, 4L * k);
            }
            first = i == 0 ? hash : first;
            assertThat(hash).as("%s, %d rows, call %d", type, rows, i).isEqualTo(first);
          }
          bits.append(type).append(' ').append(rows).append(' ').append(first).append(' ');
        }
      }
    }
    return bits.toString();
  }

  @Test
  void givesTheSameBits() throws Exception {
    Process jvm =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xint",
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Results.class.getName())
            .redirectErrorStream(true)
            .start();
    String said = new String(jvm.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(jvm.waitFor(1, TimeUnit.MINUTES)).isTrue();
    assertThat(said).contains("bits " + bits(300));
  }
}
