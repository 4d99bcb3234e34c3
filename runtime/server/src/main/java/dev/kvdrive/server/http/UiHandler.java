package dev.kvdrive.server.http;

import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.ui.SnapshotFeed;
import dev.kvdrive.server.ui.UiFile;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.springframework.http.CacheControl;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.web.reactive.function.server.HandlerFunction;
import org.springframework.web.reactive.function.server.ServerRequest;
import org.springframework.web.reactive.function.server.ServerResponse;
import reactor.core.publisher.Mono;

/** {@code GET /ui}, its files, and what they are told. */
final class UiHandler {
  /** Snapshots handed over to the connection's thread at once: the next is newer. */
  private static final int PREFETCH = 1;

  private static final Duration RETRY = Duration.ofSeconds(5);

  private final SnapshotFeed feed;

  UiHandler(SnapshotFeed feed) {
    this.feed = feed;
  }

  HandlerFunction<ServerResponse> file(UiFile file) {
    MediaType type =
        new MediaType(MediaType.parseMediaType(file.mediaType()), StandardCharsets.UTF_8);
    byte[] bytes = file.bytes();
    return request ->
        request.exchange().checkNotModified("\"" + file.hash() + "\"")
            ? ServerResponse.status(HttpStatus.NOT_MODIFIED).build()
            : ServerResponse.ok()
                .contentType(type)
                .cacheControl(CacheControl.noCache())
                .header("Content-Security-Policy", UiFile.CONTENT_SECURITY_POLICY)
                .header("X-Content-Type-Options", "nosniff")
                .header("Referrer-Policy", "no-referrer")
                .header("Cross-Origin-Opener-Policy", "same-origin")
                .header("Cross-Origin-Resource-Policy", "same-origin")
                .bodyValue(bytes);
  }

  /** With a slash behind it, addresses in the page would lead elsewhere. */
  Mono<ServerResponse> withoutSlash(ServerRequest request) {
    return ServerResponse.permanentRedirect(URI.create("../ui")).build();
  }

  Mono<ServerResponse> events(ServerRequest request) {
    return Mono.defer(
        () -> {
          SnapshotFeed.Watcher watcher =
              feed.watch()
                  .orElseThrow(
                      () ->
                          ApiException.watchers(
                              "%d pages watch this server already, and no more may; close one."
                                  .formatted(SnapshotFeed.MOST_WATCHERS),
                              RETRY));
          RequestScope.of(request.exchange()).hold(watcher::close);
          return EventStream.answer(watcher.events(), PREFETCH, watcher::onDrop);
        });
  }
}
