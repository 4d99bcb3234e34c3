package dev.kvdrive.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.TensorEntry;
import dev.kvdrive.model.gguf.GgufHeader;
import dev.kvdrive.model.gguf.GgufReader;
import dev.kvdrive.model.gguf.Mutations;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A model that cannot be used gets one clear error when it is opened, whatever is wrong. */
class BadModelTest {
  @TempDir Path folder;

  private static void assertRefused(Path model, String message) {
    assertThatThrownBy(() -> ModelLoader.open(model).close())
        .isInstanceOfSatisfying(
            ModelFormatException.class, e -> assertThat(e.wayOut()).isNotBlank())
        .hasMessageContaining(message);
  }

  private Path copyOf(String golden) throws IOException {
    Path from = Golden.file(golden);
    Path to = folder.resolve(golden);
    if (Files.isDirectory(from)) {
      Files.createDirectory(to);
      try (Stream<Path> files = Files.list(from)) {
        for (Path f : (Iterable<Path>) files::iterator) {
          Files.copy(f, to.resolve(f.getFileName().toString()));
        }
      }
    } else {
      Files.copy(from, to);
    }
    return to;
  }

  @Test
  void whatIsNoFile() throws IOException {
    assertRefused(folder.resolve("missing.gguf"), "no such file");
    assertRefused(folder, "no config.json");
    Path a = folder.resolve("a");
    Files.createSymbolicLink(a, folder.resolve("b"));
    Files.createSymbolicLink(folder.resolve("b"), a);
    assertRefused(a, "loop");
    Path dangling = Files.createSymbolicLink(folder.resolve("d"), folder.resolve("nothing"));
    assertRefused(dangling, "leads nowhere");
    assertRefused(Path.of("/dev/null"), "regular file");
    assertRefused(Files.createFile(folder.resolve("empty.gguf")), "empty");
    assertRefused(Files.writeString(folder.resolve("text.gguf"), "hello world"), "GGUF");
  }

  @Test
  void aFolderWhoseFilesAreFolders() throws IOException {
    Path model = copyOf("qwen3");
    Files.delete(model.resolve("model.safetensors"));
    assertRefused(model, "no weights");
    Files.createDirectory(model.resolve("model.safetensors"));
    assertRefused(model, "a directory");
  }

  @Test
  void aMissingShard() throws IOException {
    Path model = copyOf("llama");
    Files.delete(model.resolve("model-00002-of-00002.safetensors"));
    assertRefused(model, "no such file");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\u0000',
      value = {
        "\"model_type\": \"qwen3\"       | \"model_type\": \"gemma\"      | model type is not supported",
        "\"model_type\": \"qwen3\"       | \"model_type\": \"qwen2\"      | q_proj.bias",
        "\"hidden_size\": 64             | \"hidden_size\": 65            | must have shape",
        "\"hidden_size\": 64             | \"hidden_size\": -1            | hidden size must be",
        "\"hidden_size\": 64             | \"hidden_size\": 1e99          | integer is needed",
        "\"hidden_size\": 64             | \"hidden_size\": null          | integer is needed",
        "\"head_dim\": 24                | \"head_dim\": 25               | even",
        "\"num_hidden_layers\": 2        | \"num_hidden_layers\": 1       | its architecture does not",
        "\"num_hidden_layers\": 2        | \"num_hidden_layers\": 3       | tensor is missing",
        "\"num_hidden_layers\": 2        | \"num_hidden_layers\": 2000000 | layers must be",
        "\"num_key_value_heads\": 2      | \"num_key_value_heads\": 3     | must divide",
        "\"tie_word_embeddings\": true   | \"tie_word_embeddings\": false | tensor is missing",
        "\"hidden_act\": \"silu\"        | \"hidden_act\": \"gelu\"       | SiLU",
        "\"rope_type\": \"default\"      | \"rope_type\": \"dynamic\"     | rope scaling is not supported",
        "\"rope_type\": \"default\"      | \"rope_type\": \"llama3\"      | needs a number under factor",
        "\"rope_theta\": 10000.0         | \"rope_theta\": 0              | rope base",
        "\"rms_norm_eps\": 1e-05         | \"rms_norm_eps\": \"small\"    | number is needed",
        "{                               | {{                             | not valid JSON",
        "\"attention_bias\": false       | \"quantization_config\": {\"quant_method\": \"gptq\"} | quantized by GPTQ",
        "\"attention_bias\": false       | \"quantization_config\": {\"quant_method\": \"awq\", \"bits\": 4} | quantized by AWQ",
        "\"attention_bias\": false       | \"quantization_config\": {\"quant_method\": \"fp8\"} | quantized by fp8",
        "\"attention_bias\": false       | \"quantization\": {\"group_size\": 64, \"bits\": 4} | quantized by MLX",
        "\"model_type\": \"qwen3\"       | \"model_type\": \"gemma\", \"quantization_config\": {\"group_size\": 64, \"bits\": 4} | quantized by MLX",
        "\"attention_bias\": false       | \"attention_bias\": true        | q_proj.bias",
        "\"attention_bias\": false       | \"embedding_multiplier\": 2     | embedding_multiplier changes what",
        "\"attention_bias\": false       | \"attention_multiplier\": 0.1   | attention_multiplier = 0.1",
        "\"attention_bias\": false       | \"final_logit_softcapping\": 30 | final_logit_softcapping = 30",
        "\"attention_bias\": false       | \"no_rope_layers\": [1, 0]      | no_rope_layers changes what",
        "\"attention_bias\": false       | \"layer_types\": [\"chunked_attention\"] | layer_types has",
      })
  void aConfigurationThatDoesNotFit(String sound, String damaged, String message)
      throws IOException {
    Path model = copyOf("qwen3");
    Path config = model.resolve("config.json");
    String text = Files.readString(config);
    assertThat(text).contains(sound);
    Files.writeString(config, text.replace(sound, damaged));
    assertRefused(model, message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\u0000',
      value = {
        "granite    | \"residual_multiplier\": 0.3        | \"residual_multiplier\": 0         | residual multiplier",
        "granite    | \"logits_scaling\": 4.0             | \"logits_scaling\": 0              | multiplier of logits",
        "granite    | \"attention_multiplier\": 0.1       | \"attention_multiplier\": -1       | attention scale",
        "olmo2      | \"attention_bias\": false           | \"attention_bias\": true           | attention_bias = true",
        "olmo2      | \"model_type\": \"olmo2\"           | \"model_type\": \"olmo3\"          | model type is not supported",
        "smollm3    | \"no_rope_layers\": [               | \"no_rope_layers\": 3, \"x\": [    | 0 or 1 for each of 5",
        "ministral3 | \"llama_4_scaling_beta\": 0.5       | \"beta\": 0.5                      | llama_4_scaling_beta",
        "mistral3-mistral | \"text_config\": {            | \"text_config\": {}, \"other\": {   | under text_config",
        "llama-biased | \"mlp_bias\": false              | \"mlp_bias\": true                | mlp_bias = true",
      })
  void aFieldOfAFamilyThatDoesNotFit(String golden, String sound, String damaged, String message)
      throws IOException {
    Path model = copyOf(golden);
    Path config = model.resolve("config.json");
    String text = Files.readString(config);
    assertThat(text).contains(sound);
    Files.writeString(config, text.replace(sound, damaged));
    assertRefused(model, message);
  }

  @ParameterizedTest
  @CsvSource({
    "llama3-q8_0.gguf, blk.1.ffn_up.weight, 34, 0x7c00",
    "llama3-q8_0.gguf, output_norm.weight, 6, 0x7fc0",
    "llama-k.gguf, blk.0.attn_q.weight, 2, 0xfe00",
    "llama-k.gguf, token_embd.weight, 208, 0x7c01",
    "phi3-f16.gguf, blk.0.attn_qkv.weight, 200, 0x7c00",
    "llama-small.gguf, blk.0.ffn_down.weight, 108, 0x7c00",
    "llama-small.gguf, blk.0.attn_output.weight, 82, 0xfc00",
    "llama-small.gguf, blk.0.attn_q.weight, 17, 0x00fd",
    "llama-small.gguf, token_embd.weight, 0, 0x7c01",
  })
  void aWeightThatIsNoNumber(String name, String tensor, int offset, String bits)
      throws IOException {
    Path model = copyOf(name);
    GgufHeader header = GgufReader.read(model);
    TensorEntry entry = Objects.requireNonNull(header.tensors().get(tensor));
    byte[] bytes = Files.readAllBytes(model);
    int at = Math.toIntExact(entry.offset()) + offset;
    int value = Integer.decode(bits);
    bytes[at] = (byte) value;
    bytes[at + 1] = (byte) (value >> 8);
    Files.write(model, bytes);
    assertRefused(model, "not a finite number");
    assertRefused(model, tensor);
    try (Model unchecked = ModelLoader.open(model, 0, ModelLoader.Verification.NONE)) {
      assertThat(unchecked.geometry()).isNotNull();
    }
  }

  @Test
  void aFileThatIsCutShort() throws IOException {
    Path model = copyOf("qwen2-q4_0.gguf");
    byte[] bytes = Files.readAllBytes(model);
    Files.write(model, Arrays.copyOf(bytes, bytes.length - 64));
    assertRefused(model, "cut short");
  }

  @Test
  void alignsTensorsOfFilesWhoseHeaderIsNotPadded() throws IOException {
    Path model = copyOf("llama-linear");
    Path weights = model.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    byte[] shifted = new byte[bytes.length + 1];
    long length = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    ByteBuffer.wrap(shifted)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(length + 1)
        .put(bytes, 8, (int) length)
        .put((byte) ' ')
        .put(bytes, 8 + (int) length, bytes.length - 8 - (int) length);
    Files.write(weights, shifted);
    try (Model moved = ModelLoader.open(model);
        Model original = ModelLoader.open(Golden.file("llama-linear"))) {
      assertThat(moved.embedding().data().address() % 4).isZero();
      assertThat(moved.embedding().data().mismatch(original.embedding().data())).isEqualTo(-1);
    }
  }

  @Property(tries = 600, shrinking = ShrinkingMode.OFF)
  void mutatedGgufFilesOpenOrAreRefused(@ForAll long seed) throws IOException {
    Random random = new Random(seed);
    byte[] sound = Files.readAllBytes(Golden.file("llama3-q8_0.gguf"));
    int header = 4096;
    byte[] damaged = Mutations.apply(Arrays.copyOf(sound, header), random);
    byte[] file = Arrays.copyOf(damaged, damaged.length + sound.length - header);
    System.arraycopy(sound, header, file, damaged.length, sound.length - header);
    Path path = Files.createTempFile("mutated", ".gguf");
    try {
      Files.write(path, file);
      openOrRefuse(path);
    } finally {
      Files.delete(path);
    }
  }

  @Property(tries = 600, shrinking = ShrinkingMode.OFF)
  void mutatedConfigurationsOpenOrAreRefused(@ForAll long seed) throws IOException {
    Path golden = Golden.file("phi3");
    Path model = Files.createTempDirectory("mutated");
    try {
      byte[] config = Files.readAllBytes(golden.resolve("config.json"));
      Files.write(model.resolve("config.json"), Mutations.apply(config, new Random(seed)));
      Files.createSymbolicLink(
          model.resolve("model.safetensors"), golden.resolve("model.safetensors"));
      openOrRefuse(model);
    } finally {
      Files.deleteIfExists(model.resolve("model.safetensors"));
      Files.deleteIfExists(model.resolve("config.json"));
      Files.delete(model);
    }
  }

  private static void openOrRefuse(Path path) {
    try (Model model = ModelLoader.open(path)) {
      assertThat(model.layers()).isNotEmpty();
    } catch (ModelFormatException e) {
      assertThat(e.wayOut()).isNotBlank();
    }
  }
}
