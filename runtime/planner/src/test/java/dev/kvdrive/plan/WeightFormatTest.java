package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class WeightFormatTest {
  @Test
  void packedMatricesTakeWhatTheirFileTakes() {
    // Blocks of 34 and of 18 bytes for 32 elements.
    assertThat(WeightFormat.Q8_0.bytes(4096, 14336)).isEqualTo(4096L * 14336 / 32 * 34);
    assertThat(WeightFormat.Q4_0.bytes(4096, 14336)).isEqualTo(4096L * 14336 / 32 * 18);
    assertThat(WeightFormat.BF16.bytes(100, 7)).isEqualTo(1400);
    assertThat(WeightFormat.F32.bytes(1, 7)).isEqualTo(28);
  }

  @Test
  void aMatrixHasWholeTiles() {
    assertThat(WeightFormat.Q8_0.bytes(33, 64)).isEqualTo(WeightFormat.Q8_0.bytes(48, 64));
    assertThatThrownBy(() -> WeightFormat.Q8_0.bytes(16, 40)).hasMessageContaining("40 elements");
  }
}
