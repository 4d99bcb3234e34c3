package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CpuWeightTest {
  @ParameterizedTest
  @EnumSource
  void readsRowsOfStackedParts(TensorType type) {
    try (Arena arena = Arena.ofConfined()) {
      TensorData first = RandomWeights.tensor(arena, type, 3, 512, 1);
      TensorData second = RandomWeights.tensor(arena, TensorType.Q6_K, 2, 512, 2);
      CpuWeight weight = new CpuWeight("stack", List.of(first, second), () -> {});
      assertThat(weight.name()).isEqualTo("stack");
      assertThat(weight.rows()).isEqualTo(5);
      assertThat(weight.cols()).isEqualTo(512);
      assertThat(weight.bytes()).isEqualTo(first.bytes() + second.bytes());
      MemorySegment row = arena.allocate(4 * 512, 64);
      float[] expected = new float[512];
      for (int r = 0; r < 5; r++) {
        weight.row(r, row.address());
        Dequantizer.row(r < 3 ? first : second, r < 3 ? r : r - 3, expected, 0);
        assertThat(Arrays.equals(row.toArray(ValueLayout.JAVA_FLOAT), expected)).isTrue();
      }
      for (int bad : new int[] {-1, 5}) {
        assertThatThrownBy(() -> weight.row(bad, row.address()))
            .isInstanceOf(IndexOutOfBoundsException.class)
            .hasMessage("row %d of weight stack with 5 rows".formatted(bad));
      }
      assertThatIllegalStateException()
          .isThrownBy(weight::floats)
          .withMessage("weight stack is no vector: it has 5 rows of 512");
      weight.close();
    }
  }

  @ParameterizedTest
  @EnumSource
  void givesAVectorAsFloats(TensorType type) {
    try (Arena arena = Arena.ofConfined()) {
      TensorData vector = RandomWeights.tensor(arena, type, 1, 768, 1);
      try (CpuWeight weight = new CpuWeight("gain", List.of(vector), () -> {})) {
        float[] expected = Dequantizer.floats(vector);
        for (int i = 0; i < 768; i++) {
          assertThat(Memory.getFloat(weight.floats() + 4L * i)).isEqualTo(expected[i]);
        }
        if (type == TensorType.F32) {
          assertThat(weight.floats()).isEqualTo(vector.data().address());
        }
      }
    }
  }

  @Test
  void tellsOnceThatItWasClosed() {
    try (Arena arena = Arena.ofConfined()) {
      TensorData vector = RandomWeights.tensor(arena, TensorType.BF16, 1, 8, 1);
      AtomicInteger closed = new AtomicInteger();
      CpuWeight weight = new CpuWeight("gain", List.of(vector), closed::incrementAndGet);
      weight.close();
      weight.close();
      assertThat(closed).hasValue(1);
    }
  }

  @Test
  void refusesWhatCannotBeStackedOrRead() {
    try (Arena arena = Arena.ofConfined()) {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> new CpuWeight("w", List.of(), () -> {}))
          .withMessage("weight w has no parts");
      TensorData narrow = RandomWeights.tensor(arena, TensorType.F32, 2, 8, 1);
      TensorData wide = RandomWeights.tensor(arena, TensorType.F32, 2, 9, 1);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> new CpuWeight("w", List.of(narrow, wide), () -> {}))
          .withMessage("weight w stacks F32x2x9 with 9 columns on F32x2x8 with 8");
      TensorData heap =
          new TensorData("h", TensorType.F32, 1, 2, MemorySegment.ofArray(new float[2]));
      assertThatIllegalArgumentException()
          .isThrownBy(() -> new CpuWeight("w", List.of(heap), () -> {}))
          .withMessageContaining("tensor h of weight w is on the Java heap");
    }
  }
}
