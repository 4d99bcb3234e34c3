package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.Sampling;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Reads the fields that both completion requests share. */
final class OptionsReader {
  private static final double MAX_TEMPERATURE = 2;
  private static final double MAX_PENALTY = 2;
  private static final double SMALLEST_REPETITION = 0.01;
  private static final double LARGEST_REPETITION = 100;

  private final RequestLimits limits;
  private final int vocabulary;

  OptionsReader(RequestLimits limits, int vocabulary) {
    this.limits = limits;
    this.vocabulary = vocabulary;
  }

  GenerationOptions read(SamplingFields fields) {
    double topP = FieldCheck.number("top_p", fields.topP(), 0, 1, 1);
    Sampling sampling =
        new Sampling(
            FieldCheck.number("temperature", fields.temperature(), 0, MAX_TEMPERATURE, 1),
            // vLLM's clients say -1 for "all".
            Math.max(0, FieldCheck.integer("top_k", fields.topK(), -1, Integer.MAX_VALUE, 0)),
            // The smallest nucleus is the best token alone.
            topP == 0 ? Double.MIN_VALUE : topP,
            FieldCheck.number("min_p", fields.minP(), 0, 1, 0),
            FieldCheck.number(
                "repetition_penalty",
                fields.repetitionPenalty(),
                SMALLEST_REPETITION,
                LARGEST_REPETITION,
                1),
            FieldCheck.number(
                "frequency_penalty", fields.frequencyPenalty(), -MAX_PENALTY, MAX_PENALTY, 0),
            FieldCheck.number(
                "presence_penalty", fields.presencePenalty(), -MAX_PENALTY, MAX_PENALTY, 0),
            seed(fields.seed()));
    boolean stream = Boolean.TRUE.equals(fields.stream());
    SamplingFields.StreamOptions streamOptions = fields.streamOptions();
    if (streamOptions != null && !stream) {
      throw ApiException.invalid(
          "stream_options", "invalid_value", "'stream_options' is only allowed with 'stream'.");
    }
    boolean includeUsage =
        streamOptions != null && Boolean.TRUE.equals(streamOptions.includeUsage());
    boolean continuousUsage =
        streamOptions != null && Boolean.TRUE.equals(streamOptions.continuousUsageStats());
    return new GenerationOptions(
        sampling,
        stops(fields.stop()),
        stopTokens(fields.stopTokenIds()),
        Boolean.TRUE.equals(fields.ignoreEos()),
        FieldCheck.integer("n", fields.n(), 1, limits.choices(), 1),
        FieldCheck.integer("min_tokens", fields.minTokens(), 0, limits.contextLength(), 0),
        stream,
        includeUsage,
        includeUsage && continuousUsage);
  }

  private static long seed(@Nullable WholeNumber seed) {
    return seed == null
        ? ThreadLocalRandom.current().nextLong()
        : FieldCheck.integer("seed", seed, Long.MIN_VALUE, Long.MAX_VALUE);
  }

  private Set<Integer> stopTokens(@Nullable JsonNode ids) {
    return ids == null || ids.isNull()
        ? Set.of()
        : Set.copyOf(FieldCheck.tokens("stop_token_ids", ids, limits.stopStrings(), vocabulary));
  }

  private List<String> stops(@Nullable JsonNode stop) {
    if (stop == null || stop.isNull()) {
      return List.of();
    }
    if (stop.isString()) {
      return List.of(stop("stop", stop));
    }
    if (!stop.isArray()) {
      throw FieldCheck.type("stop", "a string or an array of strings", stop);
    }
    FieldCheck.atMost("stop", stop.size(), limits.stopStrings());
    List<String> stops = new ArrayList<>();
    for (int i = 0; i < stop.size(); i++) {
      stops.add(stop("stop[" + i + "]", stop.get(i)));
    }
    return List.copyOf(stops);
  }

  private String stop(String name, JsonNode node) {
    if (!node.isString()) {
      throw FieldCheck.type(name, "a string", node);
    }
    String text = node.stringValue();
    if (text.isEmpty() || text.length() > limits.stopChars()) {
      throw ApiException.invalid(
          name,
          "invalid_value",
          "Invalid '%s': a stop string has 1 to %d characters, got %d."
              .formatted(name, limits.stopChars(), text.length()));
    }
    return text;
  }
}
