package dev.kvdrive.server.http;

import dev.kvdrive.plan.RequestMemory;
import java.nio.ByteBuffer;
import org.springframework.core.io.buffer.DataBuffer;
import org.springframework.http.MediaType;
import org.springframework.http.server.reactive.ServerHttpResponse;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;

/** A whole answer, handed to the network in pieces, as the client reads it. */
final class JsonAnswer {
  private JsonAnswer() {}

  static Mono<ServerResponse> of(byte[] json) {
    return ServerResponse.ok()
        .contentType(MediaType.APPLICATION_JSON)
        .contentLength(json.length)
        .body((message, context) -> write(message, json));
  }

  private static Mono<Void> write(ServerHttpResponse message, byte[] json) {
    int pieces = Math.ceilDiv(json.length, RequestMemory.READ_BYTES);
    Flux<DataBuffer> all =
        Flux.range(0, pieces)
            .map(
                i -> {
                  int from = i * RequestMemory.READ_BYTES;
                  int length = Math.min(RequestMemory.READ_BYTES, json.length - from);
                  return message.bufferFactory().wrap(ByteBuffer.wrap(json, from, length));
                });
    return message.writeWith(all);
  }
}
