package dev.kvdrive.server.http;

import dev.kvdrive.server.generation.RequestGenerations;
import dev.kvdrive.server.openai.Json;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.function.Consumer;
import org.springframework.http.CacheControl;
import org.springframework.http.MediaType;
import org.springframework.http.server.reactive.ServerHttpResponse;
import org.springframework.http.server.reactive.ServerHttpResponseDecorator;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Flux;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Scheduler;
import reactor.core.scheduler.Schedulers;
import reactor.netty.DisposableChannel;
import reactor.netty.http.server.HttpServerResponse;

/**
 * Server-sent events, each flushed by itself. A comment opens the stream at once; while a prompt
 * waits and is being read, comments tell how far it is; later they only keep the connection from
 * looking dead. Clients skip comments.
 */
final class EventStream {
  private static final Duration TICK = Duration.ofSeconds(1);
  private static final int QUIET_TICKS = 15;

  /** Events handed over to the connection's thread at once. */
  private static final int PREFETCH = 16;

  private static final String DECODING = "decoding";
  private static final byte[] DATA = "data: ".getBytes(StandardCharsets.UTF_8);
  private static final byte[] END = "\n\n".getBytes(StandardCharsets.UTF_8);
  private static final byte[] DONE = "data: [DONE]\n\n".getBytes(StandardCharsets.UTF_8);

  private EventStream() {}

  /** The answer that writes {@code events} and then the end mark. */
  static Mono<ServerResponse> answer(
      Json json, Flux<Object> events, RequestGenerations generations) {
    Flux<byte[]> lines = events.map(event -> data(json.write(event)));
    Flux<byte[]> withComments =
        lines.publish(
            shared ->
                Flux.merge(shared, comments(generations).takeUntilOther(shared.ignoreElements())));
    // Behind both: a comment that is on its way when the last event comes may not follow the end.
    return answer(withComments.concatWith(Mono.just(DONE)), PREFETCH, close -> {});
  }

  /**
   * The answer that writes whole events.
   *
   * @param prefetch events handed over to the connection's thread at once
   * @param closer is given what closes the connection, for a client that does not read
   */
  static Mono<ServerResponse> answer(Flux<byte[]> events, int prefetch, Consumer<Runnable> closer) {
    return ServerResponse.ok()
        .contentType(MediaType.TEXT_EVENT_STREAM)
        .cacheControl(CacheControl.noCache())
        // Tells nginx not to collect the events.
        .header("X-Accel-Buffering", "no")
        .body(
            (message, context) -> {
              closer.accept(() -> close(message));
              return message.writeAndFlushWith(
                  events
                      .publishOn(threadOf(message), prefetch)
                      .map(line -> Mono.just(message.bufferFactory().wrap(line))));
            });
  }

  private static void close(ServerHttpResponse message) {
    HttpServerResponse response = ServerHttpResponseDecorator.getNativeResponse(message);
    response.withConnection(DisposableChannel::dispose);
  }

  /**
   * The connection's own thread, which alone may hand events over to it. Reactor Netty writes each
   * event as a concat of its bytes and a mark to flush, and asks for more on that thread; a request
   * that comes from another thread while a concat subscribes to its first source goes to that
   * source only, and the mark, and all that follows, is never written.
   */
  private static Scheduler threadOf(ServerHttpResponse message) {
    HttpServerResponse response = ServerHttpResponseDecorator.getNativeResponse(message);
    List<Executor> thread = new ArrayList<>();
    response.withConnection(connection -> thread.add(connection.channel().eventLoop()));
    // Not the event loop itself, which a scheduler would take for its own to shut down.
    return Schedulers.fromExecutor(command -> thread.getFirst().execute(command));
  }

  private static Flux<byte[]> comments(RequestGenerations generations) {
    return Flux.interval(Duration.ZERO, TICK)
        .onBackpressureDrop()
        .scan(
            new Comment("", 0, false),
            (last, tick) -> {
              String text = text(generations);
              boolean moved = !text.equals(last.text()) && !text.equals(DECODING);
              boolean due = moved || last.quiet() + 1 >= QUIET_TICKS;
              return new Comment(text, due ? 0 : last.quiet() + 1, due);
            })
        .filter(Comment::due)
        .map(comment -> (": " + comment.text() + "\n\n").getBytes(StandardCharsets.UTF_8));
  }

  private static String text(RequestGenerations generations) {
    String obstacle = generations.obstacle();
    if (obstacle != null) {
      return "waits: " + obstacle;
    }
    int percent = (int) (100 * generations.prefillProgress());
    return percent < 100 ? "prefill " + percent + " %" : DECODING;
  }

  private record Comment(String text, int quiet, boolean due) {}

  private static byte[] data(byte[] json) {
    ByteArrayOutputStream line = new ByteArrayOutputStream(DATA.length + json.length + END.length);
    line.writeBytes(DATA);
    line.writeBytes(json);
    line.writeBytes(END);
    return line.toByteArray();
  }
}
