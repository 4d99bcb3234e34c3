package dev.kvdrive.server.http;

import dev.kvdrive.server.access.Admission;
import java.util.UUID;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.springframework.core.Ordered;
import org.springframework.web.server.ServerWebExchange;
import org.springframework.web.server.WebFilter;
import org.springframework.web.server.WebFilterChain;
import reactor.core.publisher.Mono;

/** Opens a {@link RequestScope} around every request and gives the request its id. */
final class RequestScopeFilter implements WebFilter, Ordered {
  private static final String HEADER = "x-request-id";
  private static final Pattern ACCEPTED_ID = Pattern.compile("[A-Za-z0-9_.-]{1,64}");

  @Override
  public Mono<Void> filter(ServerWebExchange exchange, WebFilterChain chain) {
    RequestScope scope =
        new RequestScope(
            id(exchange.getRequest().getHeaders().getFirst(HEADER)), System.nanoTime());
    scope.attach(exchange);
    exchange.getResponse().getHeaders().set(HEADER, scope.id());
    return chain.filter(exchange).doFinally(signal -> close(scope, exchange));
  }

  @Override
  public int getOrder() {
    return -100;
  }

  private static void close(RequestScope scope, ServerWebExchange exchange) {
    scope.close();
    // After its generations are cancelled, so that no more run than its key may have.
    Admission admission = Admission.of(exchange);
    if (admission != null) {
      admission.close();
    }
  }

  private static String id(@Nullable String wanted) {
    return wanted != null && ACCEPTED_ID.matcher(wanted).matches()
        ? wanted
        : UUID.randomUUID().toString();
  }
}
