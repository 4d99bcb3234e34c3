package dev.kvdrive.model.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.gguf.Mutations;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsReaderTest {
  private static final Path FILE = Path.of("model.safetensors");
  private static final String SOUND =
      "{\"__metadata__\":{\"format\":\"pt\"},"
          + "\"a\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]},"
          + "\"b\":{\"dtype\":\"BF16\",\"shape\":[8],\"data_offsets\":[32,48]}}";

  private static byte[] file(String header, int data) {
    byte[] json = header.getBytes(UTF_8);
    return ByteBuffer.allocate(8 + json.length + data)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(json.length)
        .put(json)
        .array();
  }

  private static Map<String, TensorEntry> read(byte[] bytes) {
    return SafetensorsReader.read(FILE, MemorySegment.ofArray(bytes));
  }

  @Test
  void readsTheTableOfContents() {
    byte[] file = file(SOUND, 48);
    Map<String, TensorEntry> entries = read(file);
    assertThat(entries.keySet()).containsExactly("a", "b");
    List<TensorEntry> inOrder = List.copyOf(entries.values());
    assertThat(inOrder.get(0).shape()).containsExactly(2L, 4L);
    assertThat(inOrder.get(1).type()).isEqualTo(TensorType.BF16);
    assertThat(inOrder.get(1).offset() + inOrder.get(1).bytes()).isEqualTo(file.length);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\u0000',
      value = {
        "unknown type               | \"F32\"            | \"F33\"",
        "unknown type               | \"F32\"            | 7",
        "absurd shape               | [2,4]              | [2,-4]",
        "absurd shape               | [2,4]              | [2,4.0]",
        "absurd shape               | [2,4]              | [2147483647,2147483647,2147483647]",
        "absurd shape               | [2,4]              | [99999999999999999999]",
        "needs a shape              | [2,4]              | 8",
        "needs a shape              | [0,32]             | [0,32,48]",
        "must have 32 bytes         | [0,32]             | [0,31]",
        "must have 32 bytes         | [0,32]             | [32,0]",
        "must have 32 bytes         | [0,32]             | [\"0\",32]",
        "must have 32 bytes         | [0,32]             | [-32,0]",
        "overlaps                   | [32,48]            | [16,32]",
        "gap                        | [32,48]            | [64,80]",
        "gap                        | [32,48]            | [9223372036854775000,9223372036854775016]",
        "not valid JSON             | }}                 | }",
        "not valid JSON             | \"b\"              | \"a\"",
        "needs a shape              | {\"dtype\":\"BF16\" | {\"dtype\":\"BF16\"}, \"c\":{\"dtype\":\"F32\"",
      })
  void namesTheDamage(String message, String sound, String damaged) {
    assertThat(SOUND).contains(sound);
    assertThatThrownBy(() -> read(file(SOUND.replace(sound, damaged), 48)))
        .isInstanceOfSatisfying(
            ModelFormatException.class, e -> assertThat(e.wayOut()).isNotBlank())
        .hasMessageContaining(message);
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, -1, Long.MIN_VALUE, 1L << 40, 100_000_001})
  void refusesAbsurdHeaderLengths(long length) {
    byte[] bytes = file(SOUND, 48);
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    assertThatThrownBy(() -> read(bytes))
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining("length is absurd");
  }

  @Test
  void refusesEveryTruncationAndAnythingAfterTheEnd() {
    byte[] whole = file(SOUND, 48);
    for (int n = 0; n < whole.length; n++) {
      byte[] cut = Arrays.copyOf(whole, n);
      assertThatThrownBy(() -> read(cut))
          .as("%d bytes", n)
          .isInstanceOf(ModelFormatException.class)
          .hasMessageContaining(n < 8 ? "no safetensors file" : "cut short");
    }
    assertThatThrownBy(() -> read(Arrays.copyOf(whole, whole.length + 1)))
        .hasMessageContaining("goes on after its last tensor");
  }

  @ParameterizedTest
  @ValueSource(strings = {"null", "[]", "7", "\"x\""})
  void refusesAHeaderThatIsNoObject(String header) {
    assertThatThrownBy(() -> read(file(header, 0))).isInstanceOf(ModelFormatException.class);
  }

  @Test
  void refusesDeepNesting() {
    assertThatThrownBy(() -> read(file("{\"a\":".repeat(10_000), 0)))
        .isInstanceOf(ModelFormatException.class);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../model.safetensors",
        "/etc/model.safetensors",
        "sub/model.safetensors",
        "..safetensors",
        "model.bin",
        "",
      })
  void refusesAnIndexThatPointsElsewhere(String name) {
    byte[] index = "{\"weight_map\":{\"a\":\"%s\"}}".formatted(name).getBytes(UTF_8);
    assertThatThrownBy(() -> SafetensorsReader.indexedFiles(Path.of("index.json"), index))
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining("same folder");
  }

  @Property(tries = 4000, shrinking = ShrinkingMode.OFF)
  void survivesMutations(@ForAll long seed) {
    byte[] bytes = Mutations.apply(file(SOUND, 48), new Random(seed));
    try {
      assertThat(read(bytes).values())
          .allSatisfy(t -> assertThat(t.offset() + t.bytes()).isBetween(0L, (long) bytes.length));
    } catch (ModelFormatException e) {
      assertThat(e.wayOut()).isNotBlank();
    }
  }
}
