package dev.kvdrive.server.http;

import dev.kvdrive.server.openai.CompletionReader;
import dev.kvdrive.server.openai.DetokenizeRequest;
import dev.kvdrive.server.openai.TokenizeRequest;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.settings.RuntimeSettings;
import java.util.List;
import java.util.function.BiFunction;
import org.springframework.http.MediaType;
import org.springframework.web.reactive.function.server.ServerRequest;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Scheduler;

/** {@code POST /tokenize} and {@code POST /detokenize}, in vLLM's shapes. */
final class TokenHandler {
  private final Serving serving;
  private final RuntimeSettings settings;
  private final RequestGate gate;
  private final Scheduler text;

  TokenHandler(Serving serving, RuntimeSettings settings, RequestGate gate, Scheduler text) {
    this.serving = serving;
    this.settings = settings;
    this.gate = gate;
    this.text = text;
  }

  Mono<ServerResponse> tokenize(ServerRequest request) {
    return Mono.defer(() -> answer(request, TokenizeRequest.class, TokenHandler::tokenize));
  }

  Mono<ServerResponse> detokenize(ServerRequest request) {
    return Mono.defer(() -> answer(request, DetokenizeRequest.class, TokenHandler::detokenize));
  }

  private <T> Mono<ServerResponse> answer(
      ServerRequest request, Class<T> type, BiFunction<ServedModel, T, Object> work) {
    ServedModel model = serving.model();
    gate.enter(
        RequestScope.of(request.exchange()),
        model.engine().sizes().concurrency() + model.engine().status().queueLimit());
    return RequestBody.read(request, model.limits(), settings.bodyTimeout())
        .publishOn(text)
        .map(bytes -> model.json().write(work.apply(model, model.json().read(bytes, type))))
        .flatMap(
            bytes -> ServerResponse.ok().contentType(MediaType.APPLICATION_JSON).bodyValue(bytes));
  }

  private static Object tokenize(ServedModel model, TokenizeRequest body) {
    List<Integer> tokens = model.reader().read(body);
    return new TokenizeRequest.Answer(
        tokens.size(),
        model.engine().sizes().contextLength(),
        tokens,
        Boolean.TRUE.equals(body.returnTokenStrs())
            ? tokens.stream().map(model.tokenizer()::piece).toList()
            : null);
  }

  private static Object detokenize(ServedModel model, DetokenizeRequest body) {
    CompletionReader reader = model.reader();
    reader.checkModel(body.model());
    List<Integer> tokens = reader.tokens("tokens", body.tokens());
    return new DetokenizeRequest.Answer(
        model.tokenizer().decode(tokens.stream().mapToInt(Integer::intValue).toArray(), false));
  }
}
