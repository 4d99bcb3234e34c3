package dev.kvdrive.server.http;

import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.server.access.Admission;
import dev.kvdrive.server.generation.GenerationEvent;
import dev.kvdrive.server.generation.GenerationObserver;
import dev.kvdrive.server.generation.RequestGenerations;
import dev.kvdrive.server.metrics.Exemplars;
import dev.kvdrive.server.metrics.ServingMetrics;
import dev.kvdrive.server.openai.AnswerFormat;
import dev.kvdrive.server.openai.AnswerWriter;
import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.openai.ChatCompletionRequest;
import dev.kvdrive.server.openai.ChatFormat;
import dev.kvdrive.server.openai.CompletionRequest;
import dev.kvdrive.server.openai.PreparedCompletion;
import dev.kvdrive.server.openai.TextFormat;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.tracing.RequestTracing;
import io.micrometer.tracing.TraceContext;
import java.time.Instant;
import java.util.List;
import org.springframework.web.reactive.function.server.ServerRequest;
import org.springframework.web.reactive.function.server.ServerResponse;
import org.springframework.web.server.ServerWebExchange;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Schedulers;

/**
 * {@code POST /v1/chat/completions} and {@code POST /v1/completions}: body, tokens, engine, answer.
 */
final class CompletionHandler {
  /** Events handed over to the writing thread at once. */
  private static final int PREFETCH = 16;

  private final Serving serving;
  private final RuntimeSettings settings;
  private final RequestBodies bodies;
  private final ServingMetrics metrics;
  private final RequestTracing tracing;
  private final ErrorAnswers errors;

  CompletionHandler(
      Serving serving,
      RuntimeSettings settings,
      RequestBodies bodies,
      ServingMetrics metrics,
      RequestTracing tracing,
      ErrorAnswers errors) {
    this.serving = serving;
    this.settings = settings;
    this.bodies = bodies;
    this.metrics = metrics;
    this.tracing = tracing;
    this.errors = errors;
  }

  /** How one endpoint reads its body and shapes its answer. */
  private interface Endpoint<T> {
    /** In the words of OpenTelemetry. */
    String operation();

    PreparedCompletion read(ServedModel model, String id, T body);

    AnswerFormat format(ServedModel model, String id, long created, PreparedCompletion request);
  }

  private static final Endpoint<ChatCompletionRequest> CHAT =
      new Endpoint<>() {
        @Override
        public String operation() {
          return "chat";
        }

        @Override
        public PreparedCompletion read(ServedModel model, String id, ChatCompletionRequest body) {
          return model.reader().read(id, body);
        }

        @Override
        public AnswerFormat format(
            ServedModel model, String id, long created, PreparedCompletion request) {
          return new ChatFormat(
              "chatcmpl-" + id, created, model.name(), model.tokenizer(), request.logprobs());
        }
      };

  private static final Endpoint<CompletionRequest> TEXT =
      new Endpoint<>() {
        @Override
        public String operation() {
          return "text_completion";
        }

        @Override
        public PreparedCompletion read(ServedModel model, String id, CompletionRequest body) {
          return model.reader().read(id, body);
        }

        @Override
        public AnswerFormat format(
            ServedModel model, String id, long created, PreparedCompletion request) {
          return new TextFormat("cmpl-" + id, created, model.name(), model.tokenizer(), request);
        }
      };

  /** A request that the engine works on. */
  private record Running(
      ServedModel model,
      PreparedCompletion request,
      AnswerWriter writer,
      RequestGenerations generations,
      String id) {}

  Mono<ServerResponse> chat(ServerRequest request) {
    return Mono.defer(() -> complete(request, ChatCompletionRequest.class, CHAT));
  }

  Mono<ServerResponse> text(ServerRequest request) {
    return Mono.defer(() -> complete(request, CompletionRequest.class, TEXT));
  }

  private <T> Mono<ServerResponse> complete(
      ServerRequest request, Class<T> type, Endpoint<T> endpoint) {
    RequestScope scope = RequestScope.of(request.exchange());
    ServedModel model = serving.model();
    return bodies
        .read(
            request,
            model.limits(),
            bytes -> endpoint.read(model, scope.id(), model.json().read(bytes, type)))
        .map(
            prepared ->
                submit(
                    scope,
                    request.exchange(),
                    endpoint.operation(),
                    model,
                    prepared,
                    endpoint.format(model, scope.id(), Instant.now().getEpochSecond(), prepared)))
        .flatMap(
            running -> running.request().options().stream() ? stream(running) : whole(running));
  }

  private Running submit(
      RequestScope scope,
      ServerWebExchange exchange,
      String operation,
      ServedModel model,
      PreparedCompletion prepared,
      AnswerFormat format) {
    RequestGenerations generations;
    try {
      generations = submit(scope, exchange, operation, model, prepared);
    } catch (IllegalArgumentException e) {
      // The reader has checked all that can be known; this is the engine's last word.
      throw ApiException.invalid(null, "invalid_value", String.valueOf(e.getMessage()));
    }
    scope.hold(generations::cancel);
    return new Running(
        model,
        prepared,
        new AnswerWriter(prepared, format, model.tokenizer()),
        generations,
        scope.id());
  }

  private RequestGenerations submit(
      RequestScope scope,
      ServerWebExchange exchange,
      String operation,
      ServedModel model,
      PreparedCompletion prepared) {
    Admission admission = Admission.of(exchange);
    List<GenerationRequest> choices =
        admission == null
            ? prepared.generations()
            : prepared.generations().stream()
                .map(choice -> choice.ofTenant(admission.key()))
                .toList();
    TraceContext trace = tracing.of(exchange);
    GenerationObserver observer =
        metrics.observer(
            choices,
            scope.startNanos(),
            trace == null ? null : new Exemplars.Trace(trace.traceId(), trace.spanId()));
    observer = tracing.observer(exchange, operation, model.name(), choices, observer);
    if (admission != null) {
      observer = new ChargedGenerations(admission, choices.size(), observer);
      admission.begin(choices.size());
    }
    boolean taken = false;
    try {
      RequestGenerations generations =
          RequestGenerations.submit(model.engine(), choices, settings.streamBuffer(), observer);
      taken = true;
      return generations;
    } finally {
      if (admission != null && taken) {
        admission.chargePrompt(prepared.promptTokens());
      } else if (admission != null) {
        admission.giveUp();
      }
    }
  }

  private Mono<ServerResponse> stream(Running running) {
    AnswerWriter writer = running.writer();
    Flux<Object> events =
        running
            .generations()
            .events()
            .publishOn(Schedulers.parallel(), PREFETCH)
            .concatMapIterable(event -> streamed(writer, event))
            .concatWith(Flux.defer(() -> Flux.fromIterable(writer.close())))
            .onErrorResume(failure -> Mono.just(errors.of(failure, running.id()).body()));
    return EventStream.answer(running.model().json(), events, running.generations());
  }

  private static List<Object> streamed(AnswerWriter writer, GenerationEvent event) {
    return switch (event) {
      case GenerationEvent.Token token -> writer.stream(token.choice(), token.token());
      case GenerationEvent.Finished finished -> writer.stream(finished.choice(), finished.finish());
    };
  }

  private static Mono<ServerResponse> whole(Running running) {
    AnswerWriter writer = running.writer();
    return running
        .generations()
        .events()
        .publishOn(Schedulers.parallel(), PREFETCH)
        .doOnNext(
            event -> {
              switch (event) {
                case GenerationEvent.Token token -> writer.collect(token.choice(), token.token());
                case GenerationEvent.Finished finished ->
                    writer.collect(finished.choice(), finished.finish());
              }
            })
        .then(Mono.defer(() -> JsonAnswer.of(running.model().json().write(writer.whole()))));
  }
}
