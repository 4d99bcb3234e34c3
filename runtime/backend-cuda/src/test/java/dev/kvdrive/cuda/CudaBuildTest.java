package dev.kvdrive.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceSoftwareException;
import dev.kvdrive.model.Golden;
import dev.kvdrive.model.LayerTensors;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.WeightFormat;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What needs no GPU: the compiled kernels, weights as they will lie there. */
class CudaBuildTest {
  /**
   * A kernel's signature, and its first statement but what only reads weights or codebooks, which
   * no kernel of a step writes; in macros lines end in backslashes.
   */
  private static final Pattern KERNEL =
      Pattern.compile(
          "__global__ void (?:__launch_bounds__\\((?:[^()]|\\([^()]*\\))*\\) )?([\\w#]+)\\([^)]*\\) \\{[\\s\\\\]*(?:(?:\\w+ \\w+ = )?readAhead(?:<[\\w, ]*>)?\\(a\\);[\\s\\\\]*)?([^;]*);");

  private static final String ATTEND_FOLLOWS = "attendFollows(a, ATTEND_QUERIES)";

  @Test
  void theKernelsAreAFatBinaryWhereTheBuildHadACompiler() {
    Assumptions.assumeTrue(
        Gpu.class.getResource(Gpu.KERNELS) != null,
        "built without nvcc; runtime/backend-cuda/nvcc.sh --install gets one");
    byte[] kernels = Gpu.kernels();
    // The magic number that every CUDA fat binary starts with.
    assertThat(kernels).startsWith(0x50, 0xed, 0x55, 0xba);
  }

  /**
   * A kernel that did not wait would read what the one before it has not written yet, and only now
   * and then: every one says so first, or, where it may run beside that one, last.
   */
  @Test
  void everyKernelWaitsForTheOneBeforeItFirst() throws IOException {
    int kernels = 0;
    int declared = 0;
    try (Stream<Path> files = Files.list(Path.of("src/main/cuda"))) {
      for (Path file : files.toList()) {
        String text = Files.readString(file);
        declared += text.split("__global__", -1).length - 1;
        Matcher matcher = KERNEL.matcher(text);
        while (matcher.find()) {
          kernels++;
          String first = matcher.group(2);
          assertThat(first)
              .as("first statement of %s in %s", matcher.group(1), file)
              .isIn("follow()", "follow(a.beside)", "attendFollows(a, G)", ATTEND_FOLLOWS);
          if (!first.equals("follow()")) {
            // What may run beside the kernel before it ends behind that, on every way out.
            String body = text.substring(matcher.end(), text.indexOf('}', matcher.end()));
            assertThat(body.replaceAll("[\\s\\\\]+", " ").trim())
                .as("rest of %s in %s", matcher.group(1), file)
                .matches("\\w+<[\\w, ]+>\\(a\\); endBehind\\(a\\.beside\\);");
          }
        }
      }
    }
    assertThat(kernels).as("kernels found of those declared").isPositive().isEqualTo(declared);
  }

  @Test
  void aMachineThatCannotSaysWhy() {
    DeviceException why = CudaDevice.unavailable();
    Assumptions.assumeTrue(why != null, "there is a GPU here");
    assertThatThrownBy(() -> CudaDevice.open(0, 1 << 20))
        .isInstanceOf(DeviceException.class)
        .hasMessage(why.getMessage());
    if (!Gpu.hasKernels()) {
      assertThat(why).isInstanceOf(DeviceSoftwareException.class);
    }
  }

  @Test
  void aTierThatTheGpuDoesNotHaveIsRefusedWithTheWayOut() {
    // A card that is sold as one of 80 GB, with nothing on it but a context of half a GiB.
    long total = 81_559 * ByteSize.MIB;
    long free = total - ByteSize.GIB / 2;
    assertThat(CudaDevice.refusal(80 * ByteSize.GIB, "H100", total, free))
        .isEqualTo(
            "a GPU tier of 80.0 GiB was asked for, but H100 has 79.6 GiB, of which 79.1 GiB are free beside the driver's context; make the tier smaller, or end what else uses the GPU");
    assertThat(CudaDevice.refusal(79 * ByteSize.GIB, "H100", total, free)).isNull();
    // Another process has ten of them.
    long left = free - 10 * ByteSize.GIB;
    assertThat(CudaDevice.refusal(79 * ByteSize.GIB, "H100", total, left)).isNotNull();
    assertThat(CudaDevice.refusal(69 * ByteSize.GIB, "H100", total, left)).isNull();
  }

  static List<Golden> goldens() {
    return Golden.all();
  }

  @ParameterizedTest
  @MethodSource("goldens")
  void plansCountTheWeightsOfEveryModelAsTheyLieOnTheDevice(Golden golden) {
    try (Model model = golden.open()) {
      long bytes =
          Stream.concat(
                  Stream.of(model.embedding(), model.outputNorm(), model.output()).distinct(),
                  model.layers().stream().flatMap(LayerTensors::all))
              .mapToLong(t -> WeightFormat.of(t.type().name(), t.rows()).bytes(t.rows(), t.cols()))
              .sum();
      assertThat(model.geometry().weightBytes(DeviceKind.CUDA)).isEqualTo(bytes);
    }
  }

  @Test
  void hostBuffersTakeThePagesThatPlansCount() {
    assertThat(CudaHostBuffer.PAGE_BYTES).isEqualTo(DeviceKind.HOST_PAGE);
  }

  @Test
  void aCapMustBePositive() {
    assertThatThrownBy(() -> CudaDevice.open(0, 0)).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void matricesAreRoundedToBf16AndVectorsKeepTheirF32() {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment data = arena.allocate(4L * 3 * 5, Float.BYTES);
      for (int i = 0; i < 15; i++) {
        data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) Math.sin(i) / 3);
      }
      TensorData matrix = new TensorData("matrix", TensorType.F32, 3, 5, data);
      MemorySegment out = arena.allocate(4L * 15, Float.BYTES);
      WeightUpload.convert(matrix, WeightFormat.BF16, 1, 2, out);
      for (int i = 0; i < 10; i++) {
        assertThat(out.getAtIndex(ValueLayout.JAVA_SHORT, i))
            .isEqualTo(Bfloat16.round((float) Math.sin(5 + i) / 3));
      }
      TensorData vector = new TensorData("vector", TensorType.F32, 1, 15, data);
      WeightUpload.convert(vector, WeightFormat.F32, 0, 1, out);
      assertThat(out.asSlice(0, 60).mismatch(data)).isEqualTo(-1);
    }
  }
}
