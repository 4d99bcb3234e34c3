package dev.kvdrive.kv.extent;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class ExtentChecksumTest {
  @Test
  void theSameBytesOfAnotherIdentityOrPlaceDoNotVerify() {
    ExtentChecksum checksum = new ExtentChecksum();
    ByteBuffer data = ByteBuffer.allocateDirect(4096);
    long first = ExtentChecksum.identity(new SequenceIdentity("a", "s"), 0);
    Set<Integer> seen = new HashSet<>();
    assertThat(seen.add(checksum.of(new ExtentLabel(first, 0, 0, 0), data))).isTrue();
    assertThat(seen.add(checksum.of(new ExtentLabel(first, 1, 0, 0), data))).isTrue();
    assertThat(seen.add(checksum.of(new ExtentLabel(first, 0, 1, 0), data))).isTrue();
    assertThat(seen.add(checksum.of(new ExtentLabel(first, 0, 0, 1), data))).isTrue();
    for (long other :
        new long[] {
          ExtentChecksum.identity(new SequenceIdentity("a", "s"), 1),
          ExtentChecksum.identity(new SequenceIdentity("b", "s"), 0),
          ExtentChecksum.identity(new SequenceIdentity("as", ""), 0),
          ExtentChecksum.identity(new SequenceIdentity("", "as"), 0)
        }) {
      assertThat(seen.add(checksum.of(new ExtentLabel(other, 0, 0, 0), data))).isTrue();
    }
    assertThat(data.position()).isZero();
    assertThat(checksum.of(new ExtentLabel(first, 0, 0, 0), data)).isIn(seen);
  }

  @Property(tries = 200)
  void anyFlippedBitIsSeen(@ForAll @IntRange(min = 0, max = 4096 * 8 - 1) int bit) {
    ExtentChecksum checksum = new ExtentChecksum();
    ByteBuffer data = ByteBuffer.allocateDirect(4096);
    int before = checksum.of(new ExtentLabel(5, 1, 2, 3), data);
    data.put(bit / 8, (byte) (1 << (bit % 8)));
    assertThat(checksum.of(new ExtentLabel(5, 1, 2, 3), data)).isNotEqualTo(before);
  }
}
