package dev.kvdrive.kv.extent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.plan.NvmeEncryption;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What is opened is what was sealed, or an error, in every form that extents can have. */
class ExtentSealTest {
  private static final int BYTES = 8192;
  private static final ExtentLabel LABEL = new ExtentLabel(77, 3, 1, 12);

  private final Arena arena = Arena.ofAuto();
  private final MemorySegment spare = arena.allocate(BYTES, 4096);

  private MemorySegment random(long seed) {
    byte[] bytes = new byte[BYTES];
    new Random(seed).nextBytes(bytes);
    return copy(MemorySegment.ofArray(bytes));
  }

  private MemorySegment copy(MemorySegment of) {
    return arena.allocate(BYTES, 4096).copyFrom(of);
  }

  private static byte[] bytes(MemorySegment of) {
    return of.toArray(ValueLayout.JAVA_BYTE);
  }

  @ParameterizedTest
  @EnumSource
  void whatIsOpenedIsWhatWasSealed(NvmeEncryption form) throws IOException {
    ExtentSeal seal = ExtentSeal.of(form, BYTES);
    ExtentSeal ofAnotherThread = ExtentSeal.of(form, BYTES);
    for (int i = 0; i < 50; i++) {
      MemorySegment extent = random(i);
      byte[] plain = bytes(extent);
      ExtentLabel label = new ExtentLabel(i * 0x9e3779b97f4a7c15L, i, i % 8, 50 - i);
      byte[] proof = new byte[form.proofBytes()];
      MemorySegment onDisk = copy(seal.seal(label, extent, spare, proof));
      assertThat(bytes(extent)).isEqualTo(plain);
      byte[] before = proof.clone();
      ofAnotherThread.open(label, onDisk, proof);
      assertThat(bytes(onDisk)).isEqualTo(plain);
      assertThat(proof).isEqualTo(before);
    }
  }

  @ParameterizedTest
  @EnumSource
  void whatWasSealedForAnotherIsNotOpened(NvmeEncryption form) {
    ExtentSeal seal = ExtentSeal.of(form, BYTES);
    byte[] proof = new byte[form.proofBytes()];
    MemorySegment onDisk = copy(seal.seal(LABEL, random(1), spare, proof));
    for (ExtentLabel other :
        List.of(
            new ExtentLabel(78, 3, 1, 12),
            new ExtentLabel(77, 4, 1, 12),
            new ExtentLabel(77, 3, 0, 12),
            new ExtentLabel(77, 3, 1, 13))) {
      MemorySegment read = copy(onDisk);
      assertThatThrownBy(() -> seal.open(other, read, proof)).isInstanceOf(IOException.class);
    }
    // The bytes of one, and the proof of the other.
    byte[] ofOther = new byte[form.proofBytes()];
    MemorySegment other = copy(seal.seal(LABEL, random(2), spare, ofOther));
    assertThatThrownBy(() -> seal.open(LABEL, other, proof)).isInstanceOf(IOException.class);
    MemorySegment again = copy(onDisk);
    assertThatThrownBy(() -> seal.open(LABEL, again, ofOther)).isInstanceOf(IOException.class);
    MemorySegment zeros = arena.allocate(BYTES, 4096);
    assertThatThrownBy(() -> seal.open(LABEL, zeros, proof)).isInstanceOf(IOException.class);
  }

  @Property(tries = 200)
  void anyFlippedBitIsSeen(
      @ForAll NvmeEncryption form, @ForAll @IntRange(max = BYTES * 8 - 1) int bit)
      throws IOException {
    ExtentSeal seal = ExtentSeal.of(form, BYTES);
    MemorySegment extent = random(bit);
    byte[] proof = new byte[form.proofBytes()];
    MemorySegment onDisk = copy(seal.seal(LABEL, extent, spare, proof));
    MemorySegment read = copy(onDisk);
    byte was = read.get(ValueLayout.JAVA_BYTE, bit / 8);
    read.set(ValueLayout.JAVA_BYTE, bit / 8, (byte) (was ^ 1 << bit % 8));
    assertThatThrownBy(() -> seal.open(LABEL, read, proof)).isInstanceOf(IOException.class);
    // A thread that has met damage goes on.
    seal.open(LABEL, onDisk, proof);
    assertThat(bytes(onDisk)).isEqualTo(bytes(extent));
  }

  @Test
  void anExtentThatIsSealedAgainHasAnotherKeyAndLooksDifferent() {
    ExtentSeal seal = new ExtentCipher(BYTES);
    MemorySegment extent = arena.allocate(BYTES, 4096);
    Set<List<Byte>> keys = new HashSet<>();
    Set<List<Byte>> blocks = new HashSet<>();
    int times = 40;
    for (int i = 0; i < times; i++) {
      byte[] proof = new byte[NvmeEncryption.AES_GCM.proofBytes()];
      MemorySegment onDisk = seal.seal(LABEL, extent, spare, proof);
      assertThat(onDisk).isSameAs(spare);
      keys.add(list(Arrays.copyOf(proof, NvmeEncryption.KEY_BYTES)));
      byte[] written = bytes(onDisk);
      for (int at = 0; at < BYTES; at += 16) {
        blocks.add(list(Arrays.copyOfRange(written, at, at + 16)));
      }
    }
    assertThat(keys).hasSize(times);
    assertThat(blocks).as("blocks of 16 zero bytes, encrypted").hasSize(times * BYTES / 16);
  }

  private static List<Byte> list(byte[] bytes) {
    Byte[] boxed = new Byte[bytes.length];
    Arrays.setAll(boxed, i -> bytes[i]);
    return List.of(boxed);
  }
}
