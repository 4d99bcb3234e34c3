package dev.kvdrive.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.plan.WeightFormat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class PackedKernelTest {
  private static final int MULTIPROCESSORS = 132;

  @Test
  void theSourcesHaveTheKernelsThatAreLaunched() throws IOException {
    String source = Files.readString(Path.of("src/main/cuda/packed.cuh"));
    Matcher declared =
        Pattern.compile("  PACKED_KERNEL\\(B, (\\d), (\\d), (\\d), (\\d), (\\d)\\)")
            .matcher(source);
    assertThat(
            declared
                .results()
                .map(
                    m ->
                        new PackedKernel(
                            Integer.parseInt(m.group(1)),
                            Integer.parseInt(m.group(2)),
                            Integer.parseInt(m.group(3)),
                            Integer.parseInt(m.group(4)),
                            Integer.parseInt(m.group(5)))))
        .containsExactlyElementsOf(PackedKernel.ALL);
    for (WeightFormat format : WeightFormat.values()) {
      assertThat(source.contains("PACKED_KERNELS(%d)\n".formatted(format.bits())))
          .as(format.name())
          .isEqualTo(format.packed());
    }
  }

  @Test
  void rowsDecideAboutColumnsAndOutputsAboutTiles() {
    for (WeightFormat format : List.of(WeightFormat.Q8_0, WeightFormat.Q4_0)) {
      for (int rows = 1; rows <= CudaTensor.MOST_PACKED_ROWS; rows++) {
        PackedKernel kernel = PackedKernel.of(format, 4096, rows, MULTIPROCESSORS);
        assertThat(kernel.columns()).isEqualTo(rows <= 8 ? 1 : rows <= 16 ? 2 : 4);
        assertThat(kernel.passes(rows)).isEqualTo(Math.ceilDiv(rows, 32));
        assertThat(kernel.slices()).isEqualTo(1);
      }
      for (int outputs = 1; outputs < 1 << 22; outputs += 1 + outputs / 3) {
        PackedKernel few = PackedKernel.of(format, outputs, 1, MULTIPROCESSORS);
        assertThat((long) few.blocks(outputs) * few.tiles() * few.slices() * WeightFormat.TILE_ROWS)
            .isBetween((long) outputs, outputs + 127L);
      }
      assertThat(PackedKernel.of(format, 28672, 32, MULTIPROCESSORS).slices()).isEqualTo(4);
    }
    assertThat(PackedKernel.of(WeightFormat.Q8_0, 28672, 8, MULTIPROCESSORS).tiles()).isEqualTo(1);
    assertThat(PackedKernel.of(WeightFormat.Q4_0, 28672, 8, MULTIPROCESSORS).tiles()).isEqualTo(2);
  }

  @Test
  void whatABlockOfThreadsSharesFitsAMultiprocessor() {
    for (PackedKernel kernel : PackedKernel.ALL) {
      // 100 KiB are what the smallest has, of compute capability 8.6, 8.9 and 12.0, less 1 KiB
      // each.
      assertThat(kernel.residency() * (kernel.sharedBytes() + 1024)).isLessThanOrEqualTo(100 << 10);
    }
  }
}
