package dev.kvdrive.server.http;

import dev.kvdrive.server.openai.CompletionReader;
import dev.kvdrive.server.openai.DetokenizeRequest;
import dev.kvdrive.server.openai.TokenizeRequest;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.serving.Serving;
import java.util.List;
import java.util.function.BiFunction;
import org.springframework.web.reactive.function.server.ServerRequest;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Mono;

/** {@code POST /tokenize} and {@code POST /detokenize}, in vLLM's shapes. */
final class TokenHandler {
  private final Serving serving;
  private final RequestBodies bodies;

  TokenHandler(Serving serving, RequestBodies bodies) {
    this.serving = serving;
    this.bodies = bodies;
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
    return bodies
        .read(
            request,
            model.limits(),
            bytes -> model.json().write(work.apply(model, model.json().read(bytes, type))))
        .flatMap(
            answer -> {
              // It may be larger than the body, and its client may read it slowly.
              RequestScope.of(request.exchange()).hold(bodies.account(answer.length)::close);
              return JsonAnswer.of(answer);
            });
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
