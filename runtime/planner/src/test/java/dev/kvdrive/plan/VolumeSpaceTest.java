package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class VolumeSpaceTest {
  /** Fresh filesystems as they were measured: {@code docs/decisions/0098}. */
  @ParameterizedTest
  @EnumSource
  void noFilesystemThatWasMeasuredLeavesLessThanIsReckoned(MeasuredVolume volume) {
    assertThat(VolumeSpace.usable(volume.bytes()))
        .as("of %s, which leaves %d bytes", volume, volume.allocated())
        .isLessThanOrEqualTo(volume.allocated());
  }

  @ParameterizedTest
  @EnumSource
  void whatIsSaidToBeAllocatableCouldBeAllocated(MeasuredVolume volume) {
    assertThat(VolumeSpace.allocatable(volume.free()))
        .isBetween(VolumeSpace.usable(volume.bytes()), volume.allocated());
  }

  @Property
  void aVolumeForSoManyBytesHoldsThemAndNoSmallerOneDoes(
      @ForAll @LongRange(min = 1, max = 1L << 60) long bytes) {
    long volume = VolumeSpace.volumeFor(bytes);
    assertThat(volume % ByteSize.MIB).isZero();
    assertThat(VolumeSpace.usable(volume)).isGreaterThanOrEqualTo(bytes);
    assertThat(VolumeSpace.usable(volume - ByteSize.MIB)).isLessThan(bytes);
  }

  @Property
  void aLargerVolumeHoldsNoLess(@ForAll @LongRange(min = 0, max = Long.MAX_VALUE - 1) long bytes) {
    assertThat(VolumeSpace.usable(bytes + 1)).isGreaterThanOrEqualTo(VolumeSpace.usable(bytes));
    assertThat(VolumeSpace.usable(bytes)).isBetween(0L, bytes);
  }

  @Test
  void noVolumeHoldsNothing() {
    assertThat(VolumeSpace.usable(0)).isZero();
    assertThat(VolumeSpace.volumeFor(0)).isZero();
    assertThat(VolumeSpace.allocatable(0)).isZero();
  }
}
