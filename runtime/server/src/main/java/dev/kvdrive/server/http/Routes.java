package dev.kvdrive.server.http;

import static org.springframework.web.reactive.function.server.RequestPredicates.path;
import static org.springframework.web.reactive.function.server.RouterFunctions.route;

import dev.kvdrive.server.metrics.MetricsHandler;
import dev.kvdrive.server.metrics.ServingMetrics;
import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.settings.RuntimeSettings;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.http.HttpHeaders;
import org.springframework.web.reactive.function.server.HandlerFunction;
import org.springframework.web.reactive.function.server.RouterFunction;
import org.springframework.web.reactive.function.server.RouterFunctions;
import org.springframework.web.reactive.function.server.ServerResponse;
import org.springframework.web.server.WebExceptionHandler;
import org.springframework.web.server.WebFilter;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Scheduler;
import reactor.core.scheduler.Schedulers;

/** Every path of the server. */
@Configuration(proxyBeanMethods = false)
public class Routes {
  /** Prompts that may wait for a thread that tokenises; more are kept out by the gate. */
  private static final int TEXT_QUEUE = 10_000;

  private static final int TEXT_THREADS =
      Math.clamp(Runtime.getRuntime().availableProcessors() / 2, 1, 8);

  @Bean(destroyMethod = "dispose")
  Scheduler textScheduler() {
    return Schedulers.newBoundedElastic(TEXT_THREADS, TEXT_QUEUE, "text", 60, true);
  }

  @Bean
  WebFilter requestScopeFilter() {
    return new RequestScopeFilter();
  }

  @Bean
  WebExceptionHandler errorAnswers() {
    return new ErrorAnswers();
  }

  @Bean
  RouterFunction<ServerResponse> allPaths(
      Serving serving,
      RuntimeSettings settings,
      Scheduler textScheduler,
      ServingMetrics metrics,
      MetricsHandler metricsHandler) {
    RequestGate gate = new RequestGate();
    CompletionHandler completions =
        new CompletionHandler(serving, settings, gate, textScheduler, metrics);
    TokenHandler tokens = new TokenHandler(serving, settings, gate, textScheduler);
    ModelHandler models = new ModelHandler(serving);
    HealthHandler health = new HealthHandler(serving);
    RouterFunctions.Builder routes = route();
    post(routes, "/v1/chat/completions", completions::chat);
    post(routes, "/v1/completions", completions::text);
    post(routes, "/tokenize", tokens::tokenize);
    post(routes, "/detokenize", tokens::detokenize);
    get(routes, "/v1/models", models::list);
    get(routes, "/v1/models/{*name}", models::one);
    // Where vLLM and llama.cpp have it.
    get(routes, "/health", health::ready);
    get(routes, "/health/startup", health::live);
    get(routes, "/health/live", health::live);
    get(routes, "/health/ready", health::ready);
    get(routes, "/metrics", metricsHandler::scrape);
    return routes.build();
  }

  private static void post(
      RouterFunctions.Builder routes, String path, HandlerFunction<ServerResponse> handler) {
    routes.POST(path, handler);
    otherwise(routes, path, "POST");
  }

  private static void get(
      RouterFunctions.Builder routes, String path, HandlerFunction<ServerResponse> handler) {
    routes.GET(path, handler);
    routes.HEAD(path, handler);
    otherwise(routes, path, "GET");
  }

  private static void otherwise(RouterFunctions.Builder routes, String path, String allowed) {
    routes.route(
        path(path),
        request -> {
          request.exchange().getResponse().getHeaders().set(HttpHeaders.ALLOW, allowed);
          return Mono.error(ApiException.method(request.method().name(), request.path(), allowed));
        });
  }
}
