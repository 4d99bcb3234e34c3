package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.device.WindowOperations;
import dev.kvdrive.model.Golden;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.ReferenceTransformer;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.assertj.core.data.Offset;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;

/** The life of an engine and what is asked of it: its thread, its end, its answers. */
public abstract class EngineLifeConformance extends EngineTest {

  // --- what is refused ---

  @Test
  void requestsThatCannotBeAnsweredAreRefusedWithTheNumbers() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    assertThatThrownBy(() -> engine.submit(request("long", 250, 7), new Recorder()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("250")
        .hasMessageContaining("257")
        .hasMessageContaining("256");
    assertThatThrownBy(
            () -> engine.submit(request("endless", 10, Integer.MAX_VALUE), new Recorder()))
        .isInstanceOf(IllegalArgumentException.class);
    for (int token : new int[] {-1, 160, Integer.MAX_VALUE}) {
      GenerationRequest request = request("odd", new int[] {5, token}, Sampling.GREEDY, 4);
      assertThatThrownBy(() -> engine.submit(request, new Recorder()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining(Integer.toString(token))
          .hasMessageContaining("160");
    }
    assertThat(generate(engine, request("full", 250, 6)).finish().usage().completionTokens())
        .isEqualTo(6);
    assertThat(engine.status().running()).isZero();
  }

  @Test
  void aPlanForAnotherModelIsRefused() {
    EngineSettings settings = settings(EngineShape.roomy(1));
    try (Model other = ModelLoader.open(Golden.file("qwen3"), 0, ModelLoader.Verification.FULL)) {
      assertThatThrownBy(() -> KvDriveEngine.start(other, tokenizer, device, settings))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("plan");
    }
  }

  @Test
  void readyMeansThatEverythingHasRunOnce() {
    KvDriveEngine engine =
        start(settings(EngineShape.tight(1)).withScheduling(s -> s.withWarmUpTokens(1000)));
    EngineStatus status = engine.status();
    assertThat(status.steps()).as("the warm-up is not counted").isZero();
    assertThat(status.promptTokens()).isZero();
    assertThat(status.running()).isZero();
    assertThat(status.tiers().get(1).kvBytes()).isZero();
    assertThat(status.failure()).isNull();
  }

  @Test
  void aWarmUpTakesTheTimeThatItHasAndLeavesNoTrace() throws Exception {
    Duration time = Duration.ofMillis(400);
    EngineSettings settings =
        settings(EngineShape.roomy(1)).withScheduling(s -> s.withWarmUpTokens(100));
    int[] tokens;
    try (KvDriveEngine engine = start(settings)) {
      tokens = generate(engine, request("asked", 60, 8)).ids();
    }
    long began = System.nanoTime();
    KvDriveEngine engine = start(settings.withScheduling(s -> s.withWarmUpTime(time)));
    assertThat(System.nanoTime() - began).isGreaterThanOrEqualTo(time.toNanos());
    EngineStatus status = engine.status();
    assertThat(status.steps()).isZero();
    assertThat(status.promptTokens()).isZero();
    assertThat(status.running()).isZero();
    assertThat(status.waiting()).isZero();
    assertThat(status.tiers().get(1).kvBytes()).isZero();
    assertThat(generate(engine, request("asked", 60, 8)).ids()).isEqualTo(tokens);
  }

  @Test
  void anEngineThatFailsInItsWarmUpDoesNotStartAndLeavesNothing() throws Exception {
    Device broken = breaking(new AtomicBoolean(true));
    EngineSettings settings =
        settings(EngineShape.tight(1)).withScheduling(s -> s.withWarmUpTokens(100));
    assertThatThrownBy(() -> KvDriveEngine.start(model, tokenizer, broken, settings))
        .isInstanceOf(DeviceException.class)
        .hasMessageContaining("the device is on fire");
    assertNothingIsLeft();
  }

  @Test
  void anEngineWhoseThreadDoesNotGetOnHasFailed() throws Exception {
    KvDriveEngine engine =
        start(
            settings(EngineShape.roomy(1))
                .withScheduling(s -> s.withTurnTimeout(Duration.ofMillis(50))));
    CountDownLatch goOn = new CountDownLatch(1);
    CountDownLatch hangs = new CountDownLatch(1);
    Recorder recorder = new Recorder();
    recorder.onToken(
        token -> {
          if (recorder.tokens().size() == 2) {
            hangs.countDown();
            await(goOn);
          }
        });
    engine.submit(request("hangs", 40, 4), recorder);
    assertThat(hangs.await(60, TimeUnit.SECONDS)).isTrue();
    Awaitility.await().until(() -> engine.status().failure() != null);
    assertThat(engine.status().failure()).contains("has not ended a turn for more than 0.05 s");
    goOn.countDown();
    recorder.await().finish();
    Awaitility.await().until(() -> engine.status().failure() == null); // it got on after all
  }

  // --- the end ---

  @Test
  void aDrainingEngineFinishesWhatItHasAndTakesNothingNew() throws Exception {
    KvDriveEngine engine = start(EngineShape.tight(1).withSeats(1));
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    Recorder first = new Recorder();
    Recorder waiting = new Recorder();
    engine.submit(
        request("first", 40, 10),
        first.onToken(
            token -> {
              running.countDown();
              await(goOn);
            }));
    engine.submit(request("waiting", 40, 5), waiting);
    assertThat(running.await(60, TimeUnit.SECONDS)).isTrue();
    assertThat(engine.drain(Duration.ofMillis(1))).as("in time").isFalse();
    assertThat(engine.status().draining()).isTrue();
    assertThatThrownBy(() -> engine.submit(request("new", 5, 5), new Recorder()))
        .isInstanceOf(EngineDrainingException.class);
    goOn.countDown();
    assertThat(engine.drain(Duration.ofSeconds(Long.MAX_VALUE))).isTrue();
    assertThat(first.await().ids()).hasSize(10);
    assertThat(waiting.await().ids()).hasSize(5);
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(60, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(e);
    }
  }

  @Test
  void closingEndsWhatRunsAndWaitsAndFreesEverything() throws Exception {
    KvDriveEngine engine = start(EngineShape.tight(1).withSeats(2));
    CountDownLatch running = new CountDownLatch(1);
    List<Recorder> recorders = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      Recorder recorder = new Recorder().onToken(token -> running.countDown());
      recorders.add(recorder);
      engine.submit(request("request " + i, 60 + 30 * i, 60), recorder);
    }
    assertThat(running.await(60, TimeUnit.SECONDS)).isTrue();
    engine.close();
    engine.close();
    for (Recorder recorder : recorders) {
      assertThat(recorder.await().finish().reason())
          .isIn(FinishReason.CANCELLED, FinishReason.LENGTH);
    }
    assertThat(recorders.getLast().finish().reason()).isEqualTo(FinishReason.CANCELLED);
    assertNothingIsLeft();
    assertThatThrownBy(() -> engine.submit(request("late", 5, 5), new Recorder()))
        .isInstanceOf(EngineDrainingException.class);
    assertThat(engine.status().running()).isZero();
    assertThat(engine.drain(Duration.ZERO)).isTrue();
  }

  @Test
  void anEngineMayBeClosedAtAnyMomentOfItsStart() throws Exception {
    EngineSettings settings =
        settings(EngineShape.tight(1)).withScheduling(s -> s.withWarmUpTokens(100));
    int stride = 7;
    int moments = 0;
    boolean closedInTime = true;
    for (int moment = 0; closedInTime; moment += stride) {
      ClosingDevice closing = new ClosingDevice(moment);
      KvDriveEngine engine = KvDriveEngine.begin(model, tokenizer, closing.device(), settings);
      closing.of(engine);
      try {
        engine.awaitReady();
        closedInTime = closing.begun(); // at the last moments it is ready first
      } catch (EngineDrainingException e) {
        assertThat(e).hasMessage("the engine was closed while it started");
        moments++;
      }
      engine.close();
      closing.join();
      assertThat(engine.released()).isTrue();
      assertNothingIsLeft();
    }
    assertThat(moments).as("starts given up at some moment").isGreaterThan(30);
  }

  /**
   * The device; at one of the calls that a start makes of it, whichever stage that is, another
   * thread closes the engine, and the call goes on once that thread waits for the engine's.
   */
  private final class ClosingDevice {
    private final AtomicInteger left;
    private final CompletableFuture<KvDriveEngine> engine = new CompletableFuture<>();
    private final Thread closer = new Thread(() -> engine.join().close(), "closer");

    ClosingDevice(int moment) {
      left = new AtomicInteger(moment);
    }

    void of(KvDriveEngine begun) {
      engine.complete(begun);
    }

    boolean begun() {
      return closer.getState() != Thread.State.NEW;
    }

    void join() throws InterruptedException {
      if (begun()) {
        closer.join();
      }
    }

    private Object count(Object target, Method method, Object[] arguments)
        throws IllegalAccessException, InvocationTargetException {
      if (method.getReturnType() != boolean.class
          && !method.getName().equals("close")
          && left.getAndDecrement() == 0) {
        engine.join();
        closer.start();
        while (closer.getState() != Thread.State.TIMED_WAITING && closer.isAlive()) {
          Thread.onSpinWait();
        }
      }
      return method.invoke(target, arguments);
    }

    Device device() {
      Operations operations = around(device.operations(), this::count);
      return proxy(
          Device.class,
          (method, arguments) ->
              method.getName().equals("operations")
                  ? operations
                  : method.getName().startsWith("allocate")
                          || method.getName().startsWith("create")
                          || method.getName().equals("load")
                      ? count(device, method, arguments)
                      : method.invoke(device, arguments));
    }
  }

  @Test
  void aListenerMayCloseTheEngine() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    Recorder recorder = new Recorder().onToken(token -> engine.close());
    engine.submit(request("closing", 30, 50), recorder);
    assertThat(recorder.await().finish().reason()).isEqualTo(FinishReason.CANCELLED);
    assertThat(recorder.tokens()).hasSizeBetween(1, 2);
  }

  @Test
  void enginesFollowEachOtherOnADevice() throws Exception {
    for (int i = 0; i < 3; i++) {
      try (KvDriveEngine engine = start(EngineShape.tight(1))) {
        generate(engine, request("a", 150, 4)).finish();
      }
      assertNothingIsLeft();
    }
  }

  @Test
  void aDeviceThatFailsEndsEverythingWithItsReason() throws Exception {
    AtomicBoolean broken = new AtomicBoolean();
    Device breaking = breaking(broken);
    KvDriveEngine engine =
        KvDriveEngine.start(model, tokenizer, breaking, settings(EngineShape.tight(1)));
    Recorder running = new Recorder();
    running.onToken(token -> broken.set(running.tokens().size() == 3));
    Recorder waiting = new Recorder();
    engine.submit(request("running", 100, 40), running);
    engine.submit(request("waiting", 100, 40), waiting);
    for (Recorder recorder : List.of(running, waiting)) {
      assertThat(recorder.await().failure()).hasMessageContaining("the device is on fire");
    }
    assertThat(engine.status().failure()).contains("the device is on fire");
    assertThatThrownBy(() -> engine.submit(request("late", 5, 5), new Recorder()))
        .isInstanceOf(GenerationException.class)
        .hasMessageContaining("the device is on fire");
    engine.close();
    assertNothingIsLeft();
  }

  @Test
  void outputThatIsNotANumberIsAnErrorAlsoWhereOnlyTheLikeliestTokenIsWanted() throws Exception {
    AtomicBoolean damaged = new AtomicBoolean();
    KvDriveEngine engine =
        KvDriveEngine.start(model, tokenizer, damaging(damaged), settings(EngineShape.tight(1)));
    int[] prompt = prompt(8, 90);
    for (int logprobs : new int[] {-1, 2}) {
      damaged.set(false);
      Recorder recorder = new Recorder();
      recorder.onToken(token -> damaged.set(recorder.tokens().size() == 3));
      GenerationRequest request =
          new GenerationRequest(
              "damaged",
              Arrays.stream(prompt).boxed().toList(),
              Sampling.GREEDY,
              20,
              Set.of(),
              List.of(),
              logprobs,
              true);
      engine.submit(request, recorder);
      assertThat(recorder.await().failure())
          .hasMessageContaining("request damaged at position 93 is not a number");
      assertThat(recorder.tokens()).hasSize(3);
    }
    damaged.set(false);
    assertThat(generate(engine, request("sound", prompt, Sampling.GREEDY, 5)).ids()).hasSize(5);
    engine.close();
    assertNothingIsLeft();
  }

  /** The device, of which one logit of each row is NaN while {@code damaged}. */
  private Device damaging(AtomicBoolean damaged) {
    Operations operations =
        around(
            device.operations(),
            (sound, method, arguments) -> {
              Object result = method.invoke(sound, arguments);
              if (damaged.get() && method.getName().equals("logits")) {
                Queue queue = (Queue) arguments[0];
                TensorOperations.Product product = (TensorOperations.Product) arguments[1];
                Activations logits = product.out();
                for (int row = 0; row < product.rows(); row++) {
                  long at = 4L * (logits.offset() + (long) row * logits.stride() + 77);
                  queue.fill(logits.buffer(), at, 1, Float.floatToIntBits(Float.NaN));
                }
              }
              return result;
            });
    return proxy(
        Device.class,
        (method, arguments) ->
            method.getName().equals("operations") ? operations : method.invoke(device, arguments));
  }

  /** The device, whose embedding throws once {@code broken}. */
  private Device breaking(AtomicBoolean broken) {
    Operations operations =
        around(
            device.operations(),
            (sound, method, arguments) -> {
              if (broken.get() && method.getName().equals("embed")) {
                throw new DeviceException("the device is on fire");
              }
              return method.invoke(sound, arguments);
            });
    return proxy(
        Device.class,
        (method, arguments) ->
            method.getName().equals("operations") ? operations : method.invoke(device, arguments));
  }

  private interface Call {
    Object on(Method method, Object[] arguments)
        throws IllegalAccessException, InvocationTargetException;
  }

  /** What happens in place of a verb. */
  private interface Verb {
    Object on(Object sound, Method method, Object[] arguments)
        throws IllegalAccessException, InvocationTargetException;
  }

  /** The verbs of a device, each through {@code verb}. */
  private static Operations around(Operations sound, Verb verb) {
    return new Operations(
        around(TensorOperations.class, sound.tensor(), verb),
        around(KvOperations.class, sound.kv(), verb),
        around(IndexOperations.class, sound.index(), verb),
        around(WindowOperations.class, sound.window(), verb),
        around(AttentionOperations.class, sound.attention(), verb));
  }

  private static <T> T around(Class<T> type, T sound, Verb verb) {
    return proxy(type, (method, arguments) -> verb.on(sound, method, arguments));
  }

  private static <T> T proxy(Class<T> type, Call call) {
    return type.cast(
        Proxy.newProxyInstance(
            type.getClassLoader(),
            new Class<?>[] {type},
            (proxy, method, arguments) -> {
              try {
                return call.on(method, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause() == null ? e : e.getCause();
              }
            }));
  }

  // --- answers ---

  private GenerationRequest with(
      GenerationRequest request, Sampling sampling, Set<Integer> stopTokens, String... stops) {
    return new GenerationRequest(
        request.id(),
        request.prompt(),
        sampling,
        request.maxTokens(),
        stopTokens,
        List.of(stops),
        request.topLogprobs(),
        request.continuation());
  }

  @Test
  void askingForProbabilitiesChangesNoToken() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    for (Sampling sampling :
        List.of(random(5), new Sampling(0.8, 40, 0.95, 0.01, 1, 0, 0, 6), Sampling.GREEDY)) {
      GenerationRequest plain = request("plain", prompt(3, 30), sampling, 40);
      GenerationRequest asking =
          new GenerationRequest(
              "asking", plain.prompt(), sampling, 40, Set.of(), List.of(), 2, true);
      assertThat(generate(engine, asking).ids())
          .as("tokens by %s", sampling)
          .isEqualTo(generate(engine, plain).ids());
    }
  }

  @Test
  void theTextIsThatOfTheTokens() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    Recorder recorder = generate(engine, request("text", prompt(3, 30), random(5), 60));
    assertThat(recorder.text()).isEqualTo(tokenizer.decode(recorder.ids(), true));
    assertThat(recorder.finish().reason()).isEqualTo(FinishReason.LENGTH);
  }

  @Test
  void aStopTokenEndsTheTextAndIsCountedButNotTold() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    GenerationRequest request = request("stop", prompt(3, 30), random(5), 40);
    Recorder free = generate(engine, request);
    int at = firstOfItsKind(free.ids(), 7);
    int stop = free.ids()[at];
    Recorder stopped = generate(engine, with(request, request.sampling(), Set.of(stop, 1)));
    assertThat(stopped.finish().reason()).isEqualTo(FinishReason.STOP);
    assertSame("before the stop", stopped.tokens(), free.tokens().subList(0, at));
    assertThat(stopped.finish().usage().completionTokens()).isEqualTo(at + 1);
  }

  /** The first place from {@code from} on whose token was not there before. */
  private static int firstOfItsKind(int[] ids, int from) {
    for (int at = from; at < ids.length; at++) {
      int token = ids[at];
      if (Arrays.stream(ids, 0, at).noneMatch(id -> id == token)) {
        return at;
      }
    }
    throw new AssertionError("no new token in " + Arrays.toString(ids));
  }

  @Test
  void aStopStringIsFoundAcrossTokensAndCutOff() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    GenerationRequest request = request("stop", prompt(4, 30), random(6), 40);
    Recorder free = generate(engine, request);
    String text = free.text();
    int found = 0;
    for (int at = 3; at < 30; at++) {
      // The end of one token and the beginning of the next.
      String before = tokenizer.decode(Arrays.copyOf(free.ids(), at), true);
      if (before.isEmpty() || before.length() + 2 > text.length()) {
        continue;
      }
      String stop = text.substring(before.length() - 1, before.length() + 2);
      Recorder stopped =
          generate(engine, with(request, request.sampling(), Set.of(), "never", stop));
      String expected = text.substring(0, text.indexOf(stop));
      assertThat(stopped.text()).as("up to %s", stop).isEqualTo(expected);
      assertThat(stopped.finish().reason()).isEqualTo(FinishReason.STOP);
      assertThat(stopped.ids()).startsWith(Arrays.copyOf(free.ids(), stopped.ids().length));
      found++;
    }
    assertThat(found).isGreaterThan(10);
  }

  @Test
  void whatMightBeAStopStringIsToldInTheEnd() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    GenerationRequest request = request("stop", prompt(4, 30), random(6), 12);
    Recorder free = generate(engine, request);
    String text = free.text();
    String almost = text.substring(text.length() - 2) + "#";
    Recorder held = generate(engine, with(request, request.sampling(), Set.of(), almost));
    assertThat(held.text()).isEqualTo(text);
    assertThat(held.finish().text()).isEqualTo(text.substring(text.length() - 2));
    assertThat(held.finish().reason()).isEqualTo(FinishReason.LENGTH);
  }

  @Test
  void logprobsAreThoseOfTheRawLogits() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    GenerationRequest all =
        new GenerationRequest(
            "logprobs",
            request("logprobs", 100, 10).prompt(),
            new Sampling(2, 5, 0.9, 0, 1.3, 0.5, 0.5, 3),
            10,
            Set.of(),
            List.of(),
            20,
            true);
    Recorder recorder = generate(engine, all);
    double[][] dense = denseLogits(all, recorder.ids());
    for (int i = 0; i < 10; i++) {
      GeneratedToken token = recorder.tokens().get(i);
      double[] logits = dense[100 - 1 + i];
      double max = Arrays.stream(logits).max().orElseThrow();
      double sum = Arrays.stream(logits).map(l -> Math.exp(l - max)).sum();
      assertThat((double) token.logprob())
          .isCloseTo(logits[token.id()] - max - Math.log(sum), within(logits));
      assertThat(token.top()).hasSize(20);
      double mass = 0;
      for (int rank = 0; rank < 20; rank++) {
        GeneratedToken.TokenLogprob top = token.top().get(rank);
        assertThat((double) top.logprob())
            .isCloseTo(logits[top.id()] - max - Math.log(sum), within(logits));
        assertThat(rank == 0 || top.logprob() <= token.top().get(rank - 1).logprob()).isTrue();
        mass += Math.exp(top.logprob());
      }
      assertThat(mass).isLessThanOrEqualTo(1.0001);
    }
    GenerationRequest none =
        new GenerationRequest(
            "none", all.prompt(), Sampling.GREEDY, 3, Set.of(), List.of(), -1, true);
    for (GeneratedToken token : generate(engine, none).tokens()) {
      assertThat(token.logprob()).isNaN();
      assertThat(token.top()).isEmpty();
    }
  }

  private Offset<Double> within(double[] logits) {
    return Offset.offset(new LogitCheck(device, model.spec().layers()).logprobError(logits));
  }

  private double[][] denseLogits(GenerationRequest request, int[] generated) {
    int[] tokens = new int[request.prompt().size() + generated.length];
    for (int i = 0; i < request.prompt().size(); i++) {
      tokens[i] = request.prompt().get(i);
    }
    System.arraycopy(generated, 0, tokens, request.prompt().size(), generated.length);
    return new ReferenceTransformer(model).logits(tokens);
  }

  @Test
  void greedyIsWhatEveryNarrowChoiceComesTo() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    GenerationRequest greedy = request("greedy", prompt(6, 90), Sampling.GREEDY, 12);
    int[] expected = generate(engine, greedy).ids();
    for (Sampling narrow :
        List.of(
            new Sampling(1.5, 1, 1, 0, 1, 0, 0, 1),
            new Sampling(1.5, 0, 1e-9, 0, 1, 0, 0, 2),
            new Sampling(1.5, 0, 1, 1, 1, 0, 0, 3),
            new Sampling(1e-6, 0, 1, 0, 1, 0, 0, 4))) {
      assertThat(generate(engine, with(greedy, narrow, Set.of())).ids())
          .as("%s", narrow)
          .isEqualTo(expected);
    }
    // Without logits on the host, the device finds the same.
    GenerationRequest unseen =
        new GenerationRequest(
            "unseen", greedy.prompt(), Sampling.GREEDY, 12, Set.of(), List.of(), -1, true);
    assertThat(generate(engine, unseen).ids()).isEqualTo(expected);
  }

  @Test
  void penaltiesAvoidWhatWasSaid() {
    KvDriveEngine engine = start(EngineShape.tight(1));
    GenerationRequest request = request("penalties", prompt(7, 20), Sampling.GREEDY, 40);
    long free = Arrays.stream(generate(engine, request).ids()).distinct().count();
    Sampling strict = new Sampling(0, 0, 1, 0, 1, 0, 2, 0);
    long presence =
        Arrays.stream(generate(engine, with(request, strict, Set.of())).ids()).distinct().count();
    Sampling repeated = new Sampling(0, 0, 1, 0, 100, 0, 0, 0);
    int[] never = generate(engine, with(request, repeated, Set.of())).ids();
    assertThat(presence).isGreaterThanOrEqualTo(free);
    assertThat(never).doesNotHaveDuplicates();
    assertThat(Arrays.stream(never).boxed()).doesNotContainAnyElementsOf(request.prompt());
  }
}
