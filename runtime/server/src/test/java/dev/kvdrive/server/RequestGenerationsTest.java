package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.Sampling;
import dev.kvdrive.server.generation.GenerationEvent;
import dev.kvdrive.server.generation.GenerationObserver;
import dev.kvdrive.server.generation.RequestGenerations;
import dev.kvdrive.server.generation.SlowReaderException;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import reactor.core.publisher.BaseSubscriber;

/** No event is lost on its way to the reader, or the reader is told. */
class RequestGenerationsTest {
  private static final int CAPACITY = 4;

  private final ScriptedRuntime runtime = new ScriptedRuntime();

  private static final class Silent implements GenerationObserver {
    @Override
    public void token(int choice) {}

    @Override
    public void finished(int choice, Finish finish) {}

    @Override
    public void failed(int choice, GenerationException error, GenerationUsage took) {}
  }

  private RequestGenerations submit(int choices) {
    List<GenerationRequest> requests =
        java.util.stream.IntStream.range(0, choices)
            .mapToObj(
                i ->
                    new GenerationRequest(
                        "r" + i, List.of(1), Sampling.GREEDY, 100, Set.of(), List.of(), -1, true))
            .toList();
    return RequestGenerations.submit(runtime.engine, requests, CAPACITY, new Silent());
  }

  private static List<GenerationEvent> read(RequestGenerations generations) {
    return generations.events().collectList().blockOptional().orElseThrow();
  }

  @Test
  void whatCameBeforeTheReaderIsKept() throws InterruptedException {
    RequestGenerations generations = submit(1);
    ScriptedEngine.Played played = runtime.engine.next();
    played.token(5, "a");
    played.token(6, "b");
    played.finish(FinishReason.STOP, "");
    assertThat(read(generations)).hasSize(3);
  }

  @Test
  void moreThanFitsBeforeTheReaderComesIsAnErrorAndNotAGap() throws InterruptedException {
    RequestGenerations generations = submit(2);
    ScriptedEngine.Played first = runtime.engine.next();
    ScriptedEngine.Played second = runtime.engine.next();
    for (int i = 0; i <= CAPACITY; i++) {
      first.token(i, "x");
    }
    assertThat(first.cancelled()).isTrue();
    assertThat(second.cancelled()).isTrue();
    assertThat(
            generations.events().onErrorComplete(SlowReaderException.class).collectList().block())
        .hasSize(CAPACITY);
  }

  @Test
  void moreThanFitsBehindASlowReaderIsAnErrorAndNotAGap() throws InterruptedException {
    RequestGenerations generations = submit(1);
    ScriptedEngine.Played played = runtime.engine.next();
    List<Integer> seen = new java.util.ArrayList<>();
    List<Throwable> errors = new java.util.ArrayList<>();
    BaseSubscriber<GenerationEvent> reader =
        new BaseSubscriber<>() {
          @Override
          protected void hookOnSubscribe(org.reactivestreams.Subscription subscription) {}

          @Override
          protected void hookOnNext(GenerationEvent event) {
            seen.add(((GenerationEvent.Token) event).token().id());
          }

          @Override
          protected void hookOnError(Throwable error) {
            errors.add(error);
          }
        };
    generations.events().subscribe(reader);
    for (int i = 0; i <= CAPACITY; i++) {
      played.token(i, "x");
    }
    assertThat(played.cancelled()).isTrue();
    reader.request(100);
    assertThat(seen).containsExactly(0, 1, 2, 3);
    assertThat(errors).singleElement().isInstanceOf(SlowReaderException.class);
  }

  @Test
  void aReaderThatLeavesCancelsEveryChoice() throws InterruptedException {
    RequestGenerations generations = submit(2);
    generations.events().subscribe().dispose();
    assertThat(runtime.engine.next().cancelled()).isTrue();
    assertThat(runtime.engine.next().cancelled()).isTrue();
  }
}
