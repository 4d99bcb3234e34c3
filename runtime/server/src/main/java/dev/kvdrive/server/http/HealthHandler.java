package dev.kvdrive.server.http;

import com.fasterxml.jackson.annotation.JsonInclude;
import dev.kvdrive.server.openai.Json;
import dev.kvdrive.server.serving.HealthNote;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.serving.Serving.State;
import org.jspecify.annotations.Nullable;
import org.springframework.http.MediaType;
import org.springframework.web.reactive.function.server.ServerRequest;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Mono;

/**
 * {@code GET /health/startup}, {@code /health/live} and {@code /health/ready}.
 *
 * <p>The first two answer 200 as soon as HTTP does, during the download of a large model too, so
 * that no probe restarts a pod that makes progress; a pod whose engine has failed is not alive.
 * Ready, which {@code GET /health} is too, is 200 only while the model answers whatever it is
 * asked: not while the NVMe tier fails, as requests that need it would fail with it.
 */
final class HealthHandler {
  private final Serving serving;
  private final ClientText clientText;
  private final HealthNote note;
  private final Json json = new Json(1 << 10);

  /**
   * @param shortage why the longest request would be refused for a time, although all others are
   *     answered; null if it would not
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  private record Health(String status, String detail, @Nullable String shortage) {}

  HealthHandler(Serving serving, ClientText clientText, HealthNote note) {
    this.serving = serving;
    this.clientText = clientText;
    this.note = note;
  }

  Mono<ServerResponse> live(ServerRequest request) {
    State state = serving.health();
    return answer(!(state instanceof State.Failed), state);
  }

  Mono<ServerResponse> ready(ServerRequest request) {
    State state = serving.health();
    return answer(state instanceof State.Ready, state);
  }

  private Mono<ServerResponse> answer(boolean good, State state) {
    return ServerResponse.status(good ? 200 : 503)
        .contentType(MediaType.APPLICATION_JSON)
        .bodyValue(
            json.write(
                new Health(
                    state.word(), clientText.of(detail(state)), serving.shortage().orElse(null))));
  }

  private String detail(State state) {
    return note.text().map(text -> state.detail() + "; " + text).orElse(state.detail());
  }
}
