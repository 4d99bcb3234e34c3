package dev.kvdrive.server;

import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.schedule.Accuracy;
import dev.kvdrive.schedule.EngineBusyException;
import dev.kvdrive.schedule.EngineDrainingException;
import dev.kvdrive.schedule.EngineStatus;
import dev.kvdrive.schedule.EngineView;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.Generation;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationListener;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.InferenceEngine;
import dev.kvdrive.schedule.SequenceStatus;
import dev.kvdrive.schedule.Submission;
import dev.kvdrive.schedule.TimedStep;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * An engine that a test plays by hand, for what a real one cannot be made to do at a given moment:
 * stand still, fail, be full, or be faster than its reader.
 */
final class ScriptedEngine implements InferenceEngine {
  static final int QUEUE_LIMIT = 2;
  static final Duration RETRY_AFTER = Duration.ofSeconds(7);

  private final EngineSizes sizes;
  private final BlockingQueue<Played> submitted = new LinkedBlockingQueue<>();
  private final List<Played> all = new CopyOnWriteArrayList<>();
  private volatile @Nullable String failure;
  private volatile @Nullable String nvmeFailure;
  private volatile boolean draining;
  private volatile int withoutRoom;
  private volatile int waiting;
  private final AtomicLong views = new AtomicLong();

  ScriptedEngine(ModelGeometry geometry, int contextLength, int concurrency) {
    sizes =
        Planner.plan(
                PlanRequest.of(
                    geometry,
                    new Load(contextLength, concurrency, QUEUE_LIMIT),
                    1,
                    KvType.BF16,
                    new TierBudgets(ByteSize.GIB, ByteSize.GIB, 0),
                    DeviceKind.CPU))
            .requireSizes();
  }

  /** A generation that the test plays. */
  static final class Played implements Generation {
    final GenerationRequest request;
    private final GenerationListener listener;
    private final List<Runnable> atEnd = new CopyOnWriteArrayList<>();
    private volatile boolean ended;
    private volatile boolean cancelled;

    Played(GenerationRequest request, GenerationListener listener) {
      this.request = request;
      this.listener = listener;
    }

    void prefill(long done, long total) {
      listener.onPrefill(done, total);
    }

    void waitsFor(String reason) {
      listener.onWait(reason);
    }

    void token(int id, String text) {
      listener.onToken(new GeneratedToken(id, text, -0.5f, List.of()));
    }

    void finish(FinishReason reason, String text) {
      ended = true;
      listener.onFinish(new Finish(reason, text, usage()));
      atEnd.forEach(Runnable::run);
    }

    private GenerationUsage usage() {
      return new GenerationUsage(
          request.prompt().size(),
          request.prompt().size() / 2,
          3,
          30,
          60,
          9,
          2,
          1,
          4096,
          2048,
          1024,
          8,
          6,
          1,
          2,
          3,
          4,
          5,
          6,
          Accuracy.NONE);
    }

    SequenceStatus status() {
      return new SequenceStatus(
          1,
          request.id(),
          SequenceStatus.State.STALLED,
          "chunks that are read from /var/lib/kvdrive/nvme",
          request.prompt().size(),
          0.5,
          request.prompt().size() + request.maxTokens(),
          0.25,
          usage(),
          7,
          1_500_000_000L,
          new SequenceStatus.Held(
              1,
              2,
              3,
              4,
              5,
              6,
              new SequenceStatus.Places(8, List.of(100), List.of(600), List.of(400))));
    }

    void atEnd(Runnable action) {
      atEnd.add(action);
    }

    void fail(String message) {
      fail(new GenerationException(message));
    }

    void fail(GenerationException error) {
      ended = true;
      listener.onError(error, usage());
    }

    @Override
    public String id() {
      return request.id();
    }

    @Override
    public void cancel() {
      cancelled = !ended || cancelled;
    }

    boolean cancelled() {
      return cancelled;
    }

    boolean running() {
      return !ended && !cancelled;
    }
  }

  /** The next generation that was submitted. */
  Played next() throws InterruptedException {
    return Optional.ofNullable(submitted.poll(20, TimeUnit.SECONDS))
        .orElseThrow(() -> new AssertionError("nothing was submitted"));
  }

  /** Whether every generation that was submitted has been taken by {@link #next}. */
  boolean nothingSubmitted() {
    return submitted.isEmpty();
  }

  /** Forgets what earlier tests did. */
  void reset() {
    all.forEach(Played::cancel);
    all.clear();
    submitted.clear();
    failure = null;
    nvmeFailure = null;
    draining = false;
  }

  void breakDown(String reason) {
    failure = reason;
  }

  /** The drive fails, or works again. */
  void nvmeFails(@Nullable String reason) {
    nvmeFailure = reason;
  }

  @Override
  public EngineSizes sizes() {
    return sizes;
  }

  @Override
  public synchronized List<Generation> submit(List<Submission> submissions) {
    if (draining) {
      throw new EngineDrainingException("draining");
    }
    long running = all.stream().filter(Played::running).count();
    if (running + submissions.size() > sizes.concurrency() + QUEUE_LIMIT) {
      throw new EngineBusyException("all seats and places are taken", RETRY_AFTER);
    }
    List<Played> played =
        submissions.stream().map(s -> new Played(s.request(), s.listener())).toList();
    all.addAll(played);
    submitted.addAll(played);
    return List.copyOf(played);
  }

  @Override
  public EngineStatus status() {
    int running = (int) all.stream().filter(Played::running).count();
    return new EngineStatus(
        "scripted",
        running,
        withoutRoom,
        waiting,
        QUEUE_LIMIT,
        List.of(
            new EngineStatus.Tier("gpu", 100, 50, 10, 0),
            new EngineStatus.Tier("dram", 200, 100, 60, 30),
            new EngineStatus.Tier("nvme", 600, 340, 340, 0)),
        11,
        6,
        12,
        13,
        22,
        220,
        14,
        15,
        16,
        20,
        21,
        Map.of(new EngineStatus.Head(0, 0), new Accuracy(4, 0.25, 0.5)),
        17,
        18,
        new EngineStatus.Written(4096, 8192, 16384, null),
        19,
        true,
        NvmeEncryption.AES_GCM,
        nvmeFailure,
        draining,
        failure);
  }

  @Override
  public EngineView view() {
    long number = views.incrementAndGet();
    return new EngineView(
        number,
        all.stream().filter(Played::running).map(Played::status).toList(),
        0,
        List.of(),
        new TimedStep(13, 1, 5_000, Map.of("attend", 4_000L), 3, 2, 1));
  }

  /** What the status says of generations that wait: for room in the tiers, and for a seat. */
  void say(int withoutRoom, int waiting) {
    this.withoutRoom = withoutRoom;
    this.waiting = waiting;
  }

  /** How often somebody asked for a view. */
  long views() {
    return views.get();
  }

  @Override
  public boolean drain(Duration timeout) throws InterruptedException {
    draining = true;
    CountDownLatch left = new CountDownLatch((int) all.stream().filter(Played::running).count());
    all.stream().filter(Played::running).forEach(played -> played.atEnd(left::countDown));
    return left.await(timeout.toNanos(), TimeUnit.NANOSECONDS);
  }

  @Override
  public void close() {
    draining = true;
    all.stream()
        .filter(Played::running)
        .forEach(played -> played.finish(FinishReason.CANCELLED, ""));
  }
}
