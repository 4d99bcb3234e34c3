package dev.kvdrive.server.openai;

import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Body of {@code POST /detokenize}. */
public record DetokenizeRequest(@Nullable String model, @Nullable JsonNode tokens) {
  /** The answer. */
  public record Answer(String prompt) {}
}
