package dev.kvdrive.server.http;

import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.openai.ModelList;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.serving.Serving;
import org.springframework.http.MediaType;
import org.springframework.web.reactive.function.server.ServerRequest;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Mono;

/** {@code GET /v1/models} and {@code GET /v1/models/NAME}. */
final class ModelHandler {
  private final Serving serving;

  ModelHandler(Serving serving) {
    this.serving = serving;
  }

  Mono<ServerResponse> list(ServerRequest request) {
    return Mono.defer(
        () -> {
          ServedModel model = serving.model();
          return answer(model, ModelList.of(entry(model)));
        });
  }

  /** The name is the rest of the path, because names have slashes. */
  Mono<ServerResponse> one(ServerRequest request) {
    return Mono.defer(
        () -> {
          ServedModel model = serving.model();
          String name = request.pathVariable("name").substring(1);
          if (!name.equals(model.name())) {
            throw ApiException.unknownModel(name, model.name());
          }
          return answer(model, entry(model));
        });
  }

  private static Mono<ServerResponse> answer(ServedModel model, Object body) {
    return ServerResponse.ok()
        .contentType(MediaType.APPLICATION_JSON)
        .bodyValue(model.json().write(body));
  }

  private static ModelList.Entry entry(ServedModel model) {
    return ModelList.Entry.of(
        model.name(), model.created().getEpochSecond(), model.engine().sizes().contextLength());
  }
}
