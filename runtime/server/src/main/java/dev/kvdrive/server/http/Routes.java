package dev.kvdrive.server.http;

import static org.springframework.web.reactive.function.server.RequestPredicates.path;
import static org.springframework.web.reactive.function.server.RouterFunctions.route;

import dev.kvdrive.server.metrics.MetricsHandler;
import dev.kvdrive.server.metrics.ServingMetrics;
import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.serving.HealthNote;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.tracing.RequestTracing;
import dev.kvdrive.server.ui.SnapshotFeed;
import dev.kvdrive.server.ui.Snapshots;
import dev.kvdrive.server.ui.UiFile;
import java.time.Clock;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.http.HttpHeaders;
import org.springframework.web.reactive.function.server.HandlerFunction;
import org.springframework.web.reactive.function.server.RouterFunction;
import org.springframework.web.reactive.function.server.RouterFunctions;
import org.springframework.web.reactive.function.server.ServerResponse;
import org.springframework.web.server.WebFilter;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Scheduler;
import reactor.core.scheduler.Schedulers;

/** Every path of the server. */
@Configuration(proxyBeanMethods = false)
public class Routes {
  /** Prompts that may wait for a thread that tokenises; bodies are bounded by their bytes. */
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
  ErrorAnswers errorAnswers(RuntimeSettings settings, ServingMetrics metrics) {
    return new ErrorAnswers(metrics, ClientText.of(settings));
  }

  /** Nobody watches where the page is not served. */
  @Bean(destroyMethod = "close")
  SnapshotFeed snapshotFeed(Serving serving, RuntimeSettings settings) {
    ClientText clientText = ClientText.of(settings);
    return new SnapshotFeed(new Snapshots(serving, Clock.systemUTC(), clientText::of));
  }

  @Bean
  RouterFunction<ServerResponse> allPaths(
      Serving serving,
      RuntimeSettings settings,
      Scheduler textScheduler,
      ServingMetrics metrics,
      MetricsHandler metricsHandler,
      SnapshotFeed snapshotFeed,
      ErrorAnswers errors,
      HealthNote healthNote,
      RequestTracing tracing) {
    BodyBudget budget = new BodyBudget(settings.requestMemory());
    metrics.watch("bodies.bytes", "Bytes taken by request bodies.", budget::takenBytes);
    metrics.watch("bodies.limit.bytes", "Bytes that bodies may take.", budget::limitBytes);
    metrics.watch("requests.reading", "Requests being read or tokenised.", budget::bodies);
    RequestBodies bodies = new RequestBodies(budget, textScheduler, settings);
    CompletionHandler completions =
        new CompletionHandler(serving, settings, bodies, metrics, tracing, errors);
    TokenHandler tokens = new TokenHandler(serving, bodies);
    ModelHandler models = new ModelHandler(serving);
    HealthHandler health = new HealthHandler(serving, ClientText.of(settings), healthNote);
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
    if (settings.http().ui()) {
      page(routes, new UiHandler(snapshotFeed));
    }
    return routes.build();
  }

  private static void page(RouterFunctions.Builder routes, UiHandler page) {
    UiFile.all().forEach(file -> get(routes, file.path(), page.file(file)));
    get(routes, "/ui/", page::withoutSlash);
    routes.GET("/ui/events", page::events);
    otherwise(routes, "/ui/events", "GET");
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
