package dev.kvdrive.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.plan.WeightFormat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class PackedKernelTest {
  private static final int MULTIPROCESSORS = 132;

  @Test
  void theSourcesHaveTheKernelsThatAreLaunched() throws IOException {
    String source = Files.readString(Path.of("src/main/cuda/packed.cuh"));
    Matcher declared =
        Pattern.compile("  PACKED_KERNEL\\(B, (\\d), (\\d), (\\d), (\\d)\\)").matcher(source);
    assertThat(
            declared
                .results()
                .map(
                    m ->
                        new PackedKernel(
                            Integer.parseInt(m.group(1)),
                            Integer.parseInt(m.group(2)),
                            Integer.parseInt(m.group(3)),
                            Integer.parseInt(m.group(4)))))
        .containsExactlyElementsOf(PackedKernel.ALL);
    for (WeightFormat format : WeightFormat.values()) {
      assertThat(source.contains("PACKED_KERNELS(%d)\n".formatted(format.bits())))
          .as(format.name())
          .isEqualTo(format.packed());
    }
  }

  @Test
  void rowsDecideAboutColumnsAndOutputsAboutTiles() {
    for (int rows = 1; rows <= CudaTensor.MOST_PACKED_ROWS; rows++) {
      PackedKernel kernel = PackedKernel.of(4096, rows, MULTIPROCESSORS);
      assertThat(kernel.columns()).isEqualTo(rows <= 8 ? 1 : rows <= 16 ? 2 : 4);
      assertThat(kernel.passes(rows)).isEqualTo(rows <= 32 ? 1 : 2);
      assertThat(kernel.tiles()).isEqualTo(2);
    }
    assertThat(PackedKernel.of(2048, 1, MULTIPROCESSORS).tiles()).isEqualTo(1);
    assertThat(PackedKernel.of(1, 1, MULTIPROCESSORS).blocks(1)).isEqualTo(1);
    for (int outputs = 1; outputs < 1 << 22; outputs += 1 + outputs / 3) {
      for (PackedKernel kernel : PackedKernel.ALL) {
        assertThat((long) kernel.blocks(outputs) * kernel.tiles() * WeightFormat.TILE_ROWS)
            .isGreaterThanOrEqualTo(outputs);
      }
    }
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
