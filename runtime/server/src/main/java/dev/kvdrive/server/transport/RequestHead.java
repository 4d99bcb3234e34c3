package dev.kvdrive.server.transport;

import dev.kvdrive.server.openai.ApiException;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpVersion;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * What RFC 9112 asks of the head of a request and the codec lets pass. A proxy in front could read
 * such a head in another way than this server, and take one request for two.
 */
final class RequestHead {
  private RequestHead() {}

  /** What is wrong with it; the connection must close then. */
  static Optional<ApiException> fault(HttpRequest request) {
    HttpVersion version = request.protocolVersion();
    if (version.majorVersion() != 1) {
      return Optional.of(TransportError.version(version.text()));
    }
    HttpHeaders headers = request.headers();
    int hosts = headers.getAll(HttpHeaderNames.HOST).size();
    if (hosts > 1 || (hosts == 0 && !isHttp10(request))) {
      return Optional.of(TransportError.hosts(hosts));
    }
    return framing(request);
  }

  /** Whether the client knows neither chunks nor connections that stay by themselves. */
  static boolean isHttp10(HttpRequest request) {
    HttpVersion version = request.protocolVersion();
    return version.majorVersion() == 1 && version.minorVersion() == 0;
  }

  private static Optional<ApiException> framing(HttpRequest request) {
    List<String> codings =
        request.headers().getAll(HttpHeaderNames.TRANSFER_ENCODING).stream()
            .flatMap(line -> Stream.of(line.split(",", -1)))
            .map(String::strip)
            .toList();
    if (codings.isEmpty()) {
      return Optional.empty();
    }
    Optional<String> foreign =
        codings.stream().filter(coding -> !coding.equalsIgnoreCase("chunked")).findFirst();
    if (foreign.isPresent()) {
      return Optional.of(TransportError.coding(foreign.get()));
    }
    if (codings.size() > 1) {
      return Optional.of(TransportError.framing("'Transfer-Encoding: chunked' is there twice"));
    }
    if (isHttp10(request)) {
      return Optional.of(TransportError.framing("HTTP/1.0 has no Transfer-Encoding"));
    }
    return request.headers().contains(HttpHeaderNames.CONTENT_LENGTH)
        ? Optional.of(TransportError.framing("both Content-Length and Transfer-Encoding are there"))
        : Optional.empty();
  }
}
