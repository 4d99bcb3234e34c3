package dev.kvdrive.server.serving;

import dev.kvdrive.plan.Demand;
import dev.kvdrive.schedule.InferenceEngine;
import dev.kvdrive.server.openai.CompletionReader;
import dev.kvdrive.server.openai.Json;
import dev.kvdrive.server.openai.RequestLimits;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.Tokenizer;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * A model that answers, and how its requests are read.
 *
 * @param name in the API
 * @param created when it was loaded
 * @param tokenizer of the model
 * @param engine runs it; closed by whoever started it
 * @param limits of one request
 * @param json reads bodies and writes answers
 * @param reader turns bodies into generations
 * @param demands the arithmetic of its plan
 */
public record ServedModel(
    String name,
    Instant created,
    Tokenizer tokenizer,
    InferenceEngine engine,
    RequestLimits limits,
    Json json,
    CompletionReader reader,
    List<Demand> demands) {
  public ServedModel {
    demands = List.copyOf(demands);
  }

  /** Puts the parts together. */
  public static ServedModel of(
      String name,
      Instant created,
      Tokenizer tokenizer,
      Optional<ChatTemplate> template,
      InferenceEngine engine,
      List<Demand> demands) {
    int context = engine.sizes().contextLength();
    RequestLimits limits =
        RequestLimits.of(context, engine.sizes().concurrency(), engine.status().queueLimit());
    return new ServedModel(
        name,
        created,
        tokenizer,
        engine,
        limits,
        new Json(limits.bodyBytes()),
        new CompletionReader(name, tokenizer, template, context, limits),
        demands);
  }
}
