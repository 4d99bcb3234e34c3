package dev.kvdrive.text;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Opens the tokenizer and the chat template that come with a model. */
@SuppressWarnings("DoNotCallSuggester")
public final class Tokenizers {

  private Tokenizers() {}

  /**
   * The tokenizer of a Hugging Face folder: {@code tokenizer.json}, with {@code
   * tokenizer_config.json}, {@code generation_config.json} and {@code config.json} beside it where
   * they exist.
   *
   * @throws TokenizerException when a file is missing, broken or asks for something unsupported
   */
  public static Tokenizer fromTokenizerJson(Path dir) {
    return TokenizerJson.read(dir);
  }

  /**
   * The tokenizer in the metadata of a GGUF file ({@code tokenizer.ggml.*}).
   *
   * @param metadata key to value; arrays as String[], float[], int[]
   * @throws TokenizerException when a key is missing, broken or asks for something unsupported
   */
  public static Tokenizer fromGguf(Map<String, ? extends @Nullable Object> metadata) {
    return GgufTokenizer.read(metadata);
  }

  /** The chat template of a Hugging Face folder, if it has one. */
  public static Optional<ChatTemplate> chatTemplate(Path dir) {
    throw new UnsupportedOperationException("chat template in " + dir);
  }

  /** The chat template in the metadata of a GGUF file, if it has one. */
  public static Optional<ChatTemplate> chatTemplate(
      Map<String, ? extends @Nullable Object> metadata) {
    throw new UnsupportedOperationException("chat template in " + metadata.size() + " keys");
  }
}
