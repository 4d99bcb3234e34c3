package dev.kvdrive.text;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The vocabularies and golden ids that make_tokenizer_goldens.py writes. */
final class TokenizerFixtures {

  private static final JsonMapper JSON = new JsonMapper();

  private TokenizerFixtures() {}

  static Path folder(String name) {
    try {
      return Path.of(
          Objects.requireNonNull(
                  TokenizerFixtures.class.getResource("/text/" + name), "no fixture " + name)
              .toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  static JsonNode json(Path file) {
    try {
      return JSON.readTree(Files.readAllBytes(file));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static Tokenizer tokenizer(String name) {
    return Tokenizers.fromTokenizerJson(folder("tokenizers/" + name));
  }

  /** Metadata with the Java types that the GGUF reader gives. */
  static Map<String, Object> gguf(JsonNode json) {
    Map<String, Object> metadata = new HashMap<>();
    json.properties()
        .forEach(
            entry -> {
              JsonNode value = entry.getValue();
              String key = entry.getKey();
              if (value.isString()) {
                metadata.put(key, value.asString());
              } else if (value.isBoolean()) {
                metadata.put(key, value.asBoolean());
              } else if (value.isNumber()) {
                metadata.put(key, value.asInt());
              } else if (key.endsWith("scores")) {
                float[] scores = new float[value.size()];
                for (int i = 0; i < scores.length; i++) {
                  scores[i] = value.get(i).floatValue();
                }
                metadata.put(key, scores);
              } else if (key.endsWith("token_type")) {
                metadata.put(key, ints(value));
              } else {
                metadata.put(
                    key, value.valueStream().map(JsonNode::asString).toArray(String[]::new));
              }
            });
    return metadata;
  }

  static int[] ints(JsonNode array) {
    return array.valueStream().mapToInt(JsonNode::asInt).toArray();
  }
}
