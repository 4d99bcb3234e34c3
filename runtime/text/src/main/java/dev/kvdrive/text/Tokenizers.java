package dev.kvdrive.text;

import dev.kvdrive.text.template.TemplateLimits;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
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

  private static final long MAX_TEMPLATE_BYTES = 4 << 20;

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
   * @param instead source of a template that takes the place of the folder's; null for none
   * @return empty when there is none; one with a {@link ChatTemplate#problem} when it is broken,
   *     because a model can be used without its template
   */
  public static Optional<ChatTemplate> chatTemplate(Path dir, @Nullable String instead) {
    JsonNode config = TokenizerJson.json(dir.resolve("tokenizer_config.json"));
    try {
      String source = instead == null ? source(dir, config) : instead;
      return Optional.ofNullable(source).map(text -> compile(text, specialTokens(config)));
    } catch (ChatTemplateException e) {
      return Optional.of(new UnusableChatTemplate(e.getMessage()));
    }
  }

  private static Map<String, String> specialTokens(@Nullable JsonNode config) {
    Map<String, String> tokens = new HashMap<>();
    if (config != null) {
      for (String name : TOKEN_NAMES) {
        JsonNode token = config.path(name);
        JsonNode text = token.isString() ? token : token.path("content");
        if (text.isString()) {
          tokens.put(name, text.asString());
        }
      }
    }
    return tokens;
  }

  private static @Nullable String source(Path dir, @Nullable JsonNode config) {
    Path file = dir.resolve("chat_template.jinja");
    if (Files.exists(file)) {
      return templateSource(file);
    }
    if (config == null) {
      return null;
    }
    JsonNode template = config.path("chat_template");
    String source = template.isString() ? template.asString() : null;
    for (JsonNode named : template) {
      if (named.path("name").asString("").equals("default")) {
        source = named.path("template").asString("");
      }
    }
    return source;
  }

  /**
   * The chat template in the metadata of a GGUF file ({@code tokenizer.chat_template}).
   *
   * @param instead source of a template that takes the place of the file's; null for none
   * @return as for a folder
   */
  public static Optional<ChatTemplate> chatTemplate(
      Map<String, ? extends @Nullable Object> metadata, @Nullable String instead) {
    Object own = metadata.get("tokenizer.chat_template");
    String source = instead == null && own instanceof String text ? text : instead;
    if (source == null) {
      return Optional.empty();
    }
    try {
      return Optional.of(compile(source, specialTokens(metadata)));
    } catch (ChatTemplateException e) {
      return Optional.of(new UnusableChatTemplate(e.getMessage()));
    }
  }

  private static Map<String, String> specialTokens(
      Map<String, ? extends @Nullable Object> metadata) {
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
    return tokens;
  }

  /**
   * A chat template from its source.
   *
   * @param specialTokens {@code bos_token}, {@code eos_token}, ... as the template may write them
   * @throws ChatTemplateException when the template is broken
   */
  public static ChatTemplate chatTemplate(String source, Map<String, String> specialTokens) {
    return compile(source, specialTokens);
  }

  private static ChatTemplate compile(String source, Map<String, String> specialTokens) {
    return new JinjaChatTemplate(
        source, specialTokens, TemplateLimits.DEFAULT, Clock.system(ZoneId.systemDefault()));
  }

  /**
   * The source of a chat template that lies in a file.
   *
   * @throws ChatTemplateException when the file cannot be read
   */
  public static String templateSource(Path file) {
    try {
      if (!Files.isRegularFile(file)) {
        throw unreadable(file, Files.exists(file) ? "it is no file" : "there is no such file");
      }
      if (Files.size(file) > MAX_TEMPLATE_BYTES) {
        throw unreadable(file, "it has more than %d bytes".formatted(MAX_TEMPLATE_BYTES));
      }
      return Files.readString(file);
    } catch (CharacterCodingException e) {
      throw unreadable(file, "it is not encoded in UTF-8");
    } catch (IOException e) {
      throw unreadable(file, e.getClass().getSimpleName());
    }
  }

  private static ChatTemplateException unreadable(Path file, String why) {
    return new ChatTemplateException(
        ChatTemplateException.Cause.UNUSABLE,
        "%s cannot be read: %s".formatted(file.getFileName(), why));
  }
}
