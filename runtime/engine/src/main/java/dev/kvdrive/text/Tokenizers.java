package dev.kvdrive.text;

import dev.kvdrive.text.template.TemplateLimits;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.ZoneId;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Opens the tokenizer and the chat template that come with a model. */
public final class Tokenizers {

  private static final List<String> TOKEN_NAMES =
      List.of("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token");

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

  /**
   * The chat template of a Hugging Face folder: {@code chat_template.jinja}, or {@code
   * chat_template} in {@code tokenizer_config.json} (of several the one named {@code default}).
   *
   * @return empty when the model has none
   * @throws ChatTemplateException when the template is broken or not supported
   */
  public static Optional<ChatTemplate> chatTemplate(Path dir) {
    JsonNode config = TokenizerJson.json(dir.resolve("tokenizer_config.json"));
    Map<String, String> tokens = new HashMap<>();
    String source = null;
    if (config != null) {
      for (String name : TOKEN_NAMES) {
        JsonNode token = config.path(name);
        JsonNode text = token.isString() ? token : token.path("content");
        if (text.isString()) {
          tokens.put(name, text.asString());
        }
      }
      JsonNode template = config.path("chat_template");
      if (template.isString()) {
        source = template.asString();
      }
      for (JsonNode named : template) {
        if (named.path("name").asString("").equals("default")) {
          source = named.path("template").asString("");
        }
      }
    }
    Path file = dir.resolve("chat_template.jinja");
    if (Files.exists(file)) {
      source = read(file);
    }
    return Optional.ofNullable(source).map(text -> compile(text, tokens));
  }

  /**
   * The chat template in the metadata of a GGUF file ({@code tokenizer.chat_template}).
   *
   * @return empty when the model has none
   * @throws ChatTemplateException when the template is broken or not supported
   */
  public static Optional<ChatTemplate> chatTemplate(
      Map<String, ? extends @Nullable Object> metadata) {
    if (!(metadata.get("tokenizer.chat_template") instanceof String source)) {
      return Optional.empty();
    }
    Map<String, String> tokens = new HashMap<>();
    if (metadata.get("tokenizer.ggml.tokens") instanceof String[] pieces) {
      Map<String, String> keys =
          Map.of(
              "bos_token", "bos_token_id",
              "eos_token", "eos_token_id",
              "unk_token", "unknown_token_id",
              "pad_token", "padding_token_id");
      keys.forEach(
          (name, key) -> {
            if (metadata.get("tokenizer.ggml." + key) instanceof Number id
                && id.longValue() >= 0
                && id.longValue() < pieces.length) {
              tokens.put(name, pieces[id.intValue()]);
            }
          });
    }
    return Optional.of(compile(source, tokens));
  }

  /**
   * A chat template from its source.
   *
   * @param specialTokens {@code bos_token}, {@code eos_token}, ... as the template may write them
   * @throws ChatTemplateException when the template is broken or not supported
   */
  public static ChatTemplate chatTemplate(String source, Map<String, String> specialTokens) {
    return compile(source, specialTokens);
  }

  private static ChatTemplate compile(String source, Map<String, String> specialTokens) {
    return new JinjaChatTemplate(
        source, specialTokens, TemplateLimits.DEFAULT, Clock.system(ZoneId.systemDefault()));
  }

  private static String read(Path file) {
    try {
      if (!Files.isRegularFile(file) || Files.size(file) > 4 << 20) {
        throw new TokenizerException(file + " is not a regular file of at most 4 MiB");
      }
      return Files.readString(file);
    } catch (IOException e) {
      throw new TokenizerException("cannot read " + file + ": " + e.getMessage(), e);
    }
  }
}
