package dev.kvdrive.server.ui;

import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.schedule.Accuracy;
import dev.kvdrive.schedule.EngineStatus;
import dev.kvdrive.schedule.EngineView;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.SequenceStatus;
import dev.kvdrive.schedule.TimedStep;
import dev.kvdrive.server.openai.Usage;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.serving.Serving.State;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/** Looks at the runtime. Thread-safe; what it makes are values. */
public final class Snapshots {
  private final Serving serving;
  private final Clock clock;
  private final UnaryOperator<String> clientText;

  /**
   * @param clientText what a client may read of a text about the server
   */
  public Snapshots(Serving serving, Clock clock, UnaryOperator<String> clientText) {
    this.serving = serving;
    this.clock = clock;
    this.clientText = clientText;
  }

  /** The runtime as it is; its engine makes a view for the next one. */
  Snapshot now() {
    State state = serving.health();
    return new Snapshot(
        clock.millis(),
        state.word(),
        clientText.apply(state.detail()),
        serving.state() instanceof State.Ready ready ? engine(ready.model()) : null);
  }

  private Snapshot.Engine engine(ServedModel model) {
    EngineStatus status = model.engine().status();
    EngineView view = model.engine().view();
    long chunk = model.engine().sizes().layout().backing().bytes();
    return new Snapshot.Engine(
        plan(model, status),
        status.tiers().stream()
            .map(
                t ->
                    new Snapshot.Tier(
                        t.name(), t.capacityBytes(), t.usedBytes(), t.kvBytes(), t.keptBytes()))
            .toList(),
        new Snapshot.Queue(status.running(), status.waiting(), status.queueLimit()),
        new Snapshot.Totals(
            status.promptTokens(),
            status.completionTokens(),
            status.steps(),
            status.hits(),
            new Usage.ByTier(status.dramMisses(), status.nvmeMisses()),
            new Usage.ByTier(status.dramMisses() * chunk, status.nvmeMisses() * chunk),
            status.prefetched(),
            status.prefetchedHits(),
            status.demotions(),
            status.promotions(),
            status.nvmeWritten().bytes(),
            status.nvmeWritten().lastDay(),
            status.nvmeWritten().perDay(),
            status.ioErrors(),
            status.nvmeDirect(),
            status.nvmeEncryption().word()),
        view.sequences().stream().map(this::sequence).toList(),
        view.unseen(),
        view.ended().stream().map(this::sequence).toList(),
        step(view.step()),
        accuracy(model.engine().sizes().layout(), status));
  }

  private static Snapshot.Plan plan(ServedModel model, EngineStatus status) {
    EngineSizes sizes = model.engine().sizes();
    KvLayout layout = sizes.layout();
    return new Snapshot.Plan(
        model.name(),
        status.device(),
        sizes.policy().name(),
        sizes.contextLength(),
        sizes.concurrency(),
        sizes.budget().words(),
        sizes.denseBelow(),
        layout.layers(),
        layout.kvHeads(),
        layout.headDim(),
        layout.grid().chunk(),
        layout.formats().resident().word(),
        layout.resident().bytes(),
        layout.formats().backing().word(),
        layout.backing().bytes(),
        layout.extentBytes(),
        sizes.windowSlots(),
        model.demands());
  }

  private Snapshot.Sequence sequence(SequenceStatus of) {
    GenerationUsage usage = of.usage();
    SequenceStatus.Held held = of.held();
    SequenceStatus.Places places = held.places();
    String waitsFor = of.waitsFor();
    return new Snapshot.Sequence(
        of.number(),
        of.id(),
        of.state().name().toLowerCase(Locale.ROOT),
        waitsFor == null ? null : clientText.apply(waitsFor),
        of.promptRead(),
        of.mostTokens(),
        of.budget(),
        Usage.of(usage.promptTokens(), List.of(usage)),
        of.stalls(),
        of.stalledNanos() / 1e9,
        new Snapshot.Held(
            held.fixedBytes(),
            held.windowBytes(),
            held.residentBytes(),
            held.dramBytes(),
            held.nvmeBytes(),
            held.copiedBytes(),
            new Snapshot.Places(places.tokens(), places.window(), places.dram(), places.nvme())));
  }

  private static Snapshot.@Nullable Step step(@Nullable TimedStep step) {
    return step == null
        ? null
        : new Snapshot.Step(
            step.number(),
            step.sequences(),
            step.nanos(),
            step.stageNanos(),
            step.hits(),
            step.dramMisses(),
            step.nvmeMisses());
  }

  private static Snapshot.Accuracy accuracy(KvLayout layout, EngineStatus status) {
    return new Snapshot.Accuracy(
        byHead(layout, (layer, head) -> of(status, layer, head).samples()),
        byHead(layout, (layer, head) -> rounded(of(status, layer, head), Accuracy::massMissed)),
        byHead(layout, (layer, head) -> rounded(of(status, layer, head), Accuracy::outputError)));
  }

  private static Accuracy of(EngineStatus status, int layer, int head) {
    return status.accuracy().getOrDefault(new EngineStatus.Head(layer, head), Accuracy.NONE);
  }

  /** To as many places as a person reads. */
  private static double rounded(Accuracy accuracy, ToDoubleFunction<Accuracy> figure) {
    return Math.round(figure.applyAsDouble(accuracy) * 1e6) / 1e6;
  }

  private interface OfHead<T> {
    T at(int layer, int head);
  }

  private static <T> List<List<T>> byHead(KvLayout layout, OfHead<T> figure) {
    List<List<T>> all = new ArrayList<>();
    for (int layer = 0; layer < layout.layers(); layer++) {
      List<T> heads = new ArrayList<>();
      for (int head = 0; head < layout.kvHeads(); head++) {
        heads.add(figure.at(layer, head));
      }
      all.add(List.copyOf(heads));
    }
    return List.copyOf(all);
  }
}
