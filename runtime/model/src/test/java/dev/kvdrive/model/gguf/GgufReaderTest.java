package dev.kvdrive.model.gguf;

import static dev.kvdrive.model.gguf.GgufBytes.join;
import static dev.kvdrive.model.gguf.GgufBytes.le;
import static dev.kvdrive.model.gguf.GgufBytes.string;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class GgufReaderTest {
  private static final Path FILE = Path.of("model.gguf");

  private static GgufHeader read(byte[] bytes) {
    return GgufReader.read(FILE, MemorySegment.ofArray(bytes), bytes.length);
  }

  @Test
  void readsEveryKindOfValueAndTheTableOfContents() {
    GgufHeader header = read(GgufBytes.sound().bytes());
    GgufMetadata meta = header.metadata();
    assertThat(meta.string("general.architecture")).contains("llama");
    assertThat(meta.integer("u8")).hasValue(255);
    assertThat(meta.integer("i16")).hasValue(-2);
    assertThat(meta.number("f32")).hasValue(1.5);
    assertThat(meta.bool("yes")).contains(true);
    assertThat(meta.asMap().get("words")).isEqualTo(new String[] {"a", "é"});
    assertThat(meta.asMap().get("ids")).isEqualTo(new int[] {1, -2, 3});
    assertThat(meta.asMap().get("scores")).isEqualTo(new float[] {0.25f});
    assertThat(header.tensors().keySet()).containsExactly("a", "b");
    List<TensorEntry> entries = List.copyOf(header.tensors().values());
    assertThat(entries.get(0).shape()).containsExactly(2L, 4L);
    assertThat(entries.get(1).type()).isEqualTo(TensorType.Q8_0);
    assertThat(entries.get(1).offset()).isEqualTo(header.dataStart() + 32);
  }

  @Test
  void readsVersion2() {
    GgufBytes file = GgufBytes.sound();
    file.version = 2;
    assertThat(read(file.bytes()).version()).isEqualTo(2);
  }

  static List<Arguments> damages() {
    return List.of(
        damage("must start with", f -> f.magic = 0x12345678),
        damage("only GGUF versions", f -> f.version = 1),
        damage("only GGUF versions", f -> f.version = 4),
        damage("big endian", f -> f.version = Integer.reverseBytes(3)),
        damage("number of tensors is absurd", f -> f.extraTensors = 1L << 40),
        damage("number of tensors is absurd", f -> f.extraTensors = Long.MIN_VALUE),
        damage("number of metadata keys is absurd", f -> f.extraKeys = 1L << 62),
        damage("unknown type", f -> f.key("k", 13, new byte[8])),
        damage("twice", f -> f.key("yes", 7, new byte[] {1})),
        damage("true (1) or false (0)", f -> f.key("k", 7, new byte[] {2})),
        damage("absurdly large", f -> f.key("k", 10, le(8, -1))),
        damage("longer than", f -> f.key("k", 8, le(8, 1L << 50))),
        damage("longer than", f -> f.rawKey(le(8, -1))),
        damage("ends inside its header", f -> f.rawKey(le(8, 60_000))),
        damage("not valid UTF-8", f -> f.key("k", 8, join(le(8, 1), new byte[] {(byte) 0xff}))),
        damage("elements of k is absurd", f -> f.key("k", 9, join(le(4, 5), le(8, 1L << 30)))),
        damage("elements of a type", f -> f.key("k", 9, join(le(4, 9), le(8, 1)))),
        damage("elements of a type", f -> f.key("k", 9, join(le(4, 77), le(8, 1)))),
        damage("power of two", f -> f.key("general.alignment", 4, le(4, 33))),
        damage("power of two", f -> f.key("general.alignment", 4, le(4, 0))),
        damage("must be an integer", f -> f.key("general.alignment", 8, string("32"))),
        damage("1 to 4 dimensions", f -> f.tensor("c", 0, 96)),
        damage("1 to 4 dimensions", f -> f.tensor("c", 0, 96, 1, 1, 1, 1, 1)),
        damage("absurd size", f -> f.tensor("c", 0, 96, 0)),
        damage("absurd size", f -> f.tensor("c", 0, 96, -4)),
        damage("absurd size", f -> f.tensor("c", 0, 96, 1 << 30, 1 << 30, 1 << 30)),
        damage("IQ2_XS", f -> f.tensor("c", 17, 96, 32)),
        damage("type code 99", f -> f.tensor("c", 99, 96, 32)),
        damage("whole Q8_0 blocks", f -> f.tensor("c", 8, 96, 33)),
        damage("multiple of 32", f -> f.tensor("c", 0, 97, 4)),
        damage("multiple of 32", f -> f.tensor("c", 0, -32, 4)),
        damage("leaves the file", f -> f.tensor("c", 0, 256, 4)),
        damage("leaves the file", f -> f.tensor("c", 0, 1L << 50, 4)),
        damage("leaves the file", f -> f.tensor("c", 0, 96, 1 << 20)),
        damage("leaves the file", f -> f.dataBytes = 32),
        damage("overlap", f -> f.tensor("c", 0, 32, 4)),
        damage("tensor occurs twice", f -> f.tensor("a", 0, 96, 4)));
  }

  private static Arguments damage(String message, Consumer<GgufBytes> how) {
    return Arguments.of(message, how);
  }

  @ParameterizedTest(name = "{index}: {0}")
  @MethodSource("damages")
  void namesTheDamage(String message, Consumer<GgufBytes> damage) {
    GgufBytes file = GgufBytes.sound();
    damage.accept(file);
    assertThatThrownBy(() -> read(file.bytes()))
        .isInstanceOfSatisfying(
            ModelFormatException.class,
            e -> {
              assertThat(e.file()).isEqualTo("model.gguf");
              assertThat(e.value()).isNotBlank();
              assertThat(e.wayOut()).isNotBlank();
            })
        .hasMessageContaining(message);
  }

  @Test
  void refusesEveryTruncation() {
    byte[] whole = GgufBytes.sound().bytes();
    // The last tensor ends before the padding of the data, which may be missing.
    int needed = whole.length - 256 + 32 + 34;
    for (int n = 0; n < needed; n++) {
      byte[] cut = Arrays.copyOf(whole, n);
      assertThatThrownBy(() -> read(cut))
          .as("%d bytes", n)
          .isInstanceOf(ModelFormatException.class)
          .hasMessageContaining(n < 4 ? "GGUF" : "cut short");
    }
  }

  @Property(tries = 4000, shrinking = ShrinkingMode.OFF)
  void survivesMutations(@ForAll long seed) {
    byte[] bytes = Mutations.apply(GgufBytes.sound().bytes(), new Random(seed));
    try {
      GgufHeader header = read(bytes);
      assertThat(header.tensors().values())
          .allSatisfy(t -> assertThat(t.offset() + t.bytes()).isBetween(0L, (long) bytes.length));
    } catch (ModelFormatException e) {
      assertThat(e).hasMessageMatching("(?s).{20,2000}");
    }
  }
}
