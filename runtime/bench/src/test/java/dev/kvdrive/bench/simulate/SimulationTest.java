package dev.kvdrive.bench.simulate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.eval.Evaluation;
import dev.kvdrive.bench.simulate.Simulation.Counts;
import dev.kvdrive.bench.simulate.Simulation.Setting;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.WindowOptions.Division;
import dev.kvdrive.schedule.EngineStatus;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** With the bundled model on the CPU device. */
class SimulationTest {
  private static final int CONTEXT = 1100;
  private static final List<Budget> BUDGETS = List.of(Budget.of(0.25), Budget.of(0.1));

  @TempDir private Path folder;

  private record Run(EngineStatus status, Recording recording) {}

  private Run run(WindowOptions windows) throws Exception {
    Path model = new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN);
    PlanRequest request =
        PlanRequest.of(
                ModelLoader.geometry(model),
                new Load(CONTEXT, BUDGETS.size(), 2),
                0.25,
                KvType.BF16,
                new TierBudgets(0, 0, 0),
                DeviceKind.CPU)
            .attending(a -> a.withDenseBelow(0).withWindows(windows));
    Path file = folder.resolve("selections-" + windows.hashCode());
    EngineStatus status;
    try (LocalEngine local =
        LocalEngine.of(
                LocalModel.of(model),
                request.withTiers(new ComfortableTiers(1.4, 1).of(request)),
                2,
                folder)
            .recording(file)
            .start()) {
      TaskMaker maker = new TaskMaker(3, text -> local.tokenizer().encode(text, false).length);
      new Evaluation(local.engine(), local.tokenizer(), local.template().orElseThrow())
          .run(
              List.of(
                  new Evaluation.Question(
                      maker.make(TaskFamily.NIAH_MULTIQUERY, CONTEXT, 0.2), BUDGETS),
                  new Evaluation.Question(maker.make(TaskFamily.PASSKEY, CONTEXT, 0.7), BUDGETS)),
              result -> {});
      status = local.engine().status();
    }
    return new Run(status, Recording.read(file));
  }

  private static void assertAgrees(Run run) {
    Counts counts = Simulation.run(run.recording(), Setting.of(run.recording().header()), null);
    assertThat(counts.steps()).isPositive();
    assertThat(counts.hits()).isEqualTo(run.status().hits());
    assertThat(counts.misses()).isEqualTo(run.status().dramMisses());
    assertThat(run.status().nvmeMisses()).isZero();
  }

  @Test
  void simulatorAndEngineAgreeOnHitsAndMisses() throws Exception {
    assertAgrees(run(new WindowOptions(Division.UNIFORM, 0, false)));
  }

  @Test
  void theyAgreeWhenSlotsMoveAndWindowsAreFilledAhead() throws Exception {
    Run plain = run(new WindowOptions(Division.BY_REUSE, 0, false));
    assertAgrees(plain);
    Run warm = run(new WindowOptions(Division.BY_REUSE, 24, false));
    assertAgrees(warm);
    Run all = run(new WindowOptions(Division.BY_REUSE, 24, true));
    assertAgrees(all);
    assertThat(all.status().hits()).isGreaterThan(plain.status().hits());
    // What was selected depends on none of it.
    assertThat(all.status().hits() + all.status().dramMisses())
        .isEqualTo(plain.status().hits() + plain.status().dramMisses());
    // With the sizes of the engine that fills nothing ahead, whose plan may find room for other
    // windows, the recording gives that engine's numbers.
    Counts without = Simulation.run(all.recording(), Setting.of(plain.recording().header()), null);
    assertThat(without.hits()).isEqualTo(plain.status().hits());
  }

  @Test
  void aLargerWindowNeverMissesMoreAndTiersReadWholeExtents() throws Exception {
    Recording recording = run(new WindowOptions(Division.UNIFORM, 0, false)).recording();
    Setting setting = Setting.of(recording.header());
    int selection = setting.shape().fewest();
    long before = Long.MAX_VALUE;
    for (int times = 1; times < 5; times++) {
      Counts counts =
          Simulation.run(recording, setting.withSlots(times * selection, selection), 0.1);
      assertThat(counts.misses()).isLessThanOrEqualTo(before);
      before = counts.misses();
    }
    Counts single = Simulation.run(recording, setting.withTiers(0.25, 1), null);
    Counts whole = Simulation.run(recording, setting.withTiers(0.25, 8), null);
    assertThat(single.nvmeExtents()).isEqualTo(single.nvmeChunks());
    assertThat(whole.nvmeExtents()).isLessThan(single.nvmeExtents());
    // Who knew the answer would put together what it needs.
    Counts known =
        Simulation.run(recording, setting.withTiers(0.25, 8).with(Placing.HINDSIGHT), null);
    assertThat(known.nvmeExtents()).isLessThan(whole.nvmeExtents());
    assertThat(known.misses()).as("what windows miss").isEqualTo(whole.misses());
    assertThat(Simulation.run(recording, setting.withTiers(0.25, 1).with(Placing.HINDSIGHT), null))
        .as("extents of one chunk")
        .isEqualTo(single);
  }

  @Test
  void noRuleMissesLessThanTheOneThatKnowsTheFuture() throws Exception {
    Recording recording = run(new WindowOptions(Division.UNIFORM, 24, true)).recording();
    Setting setting = Setting.of(recording.header());
    int selection = setting.shape().fewest();
    for (int slots : new int[] {selection, selection + selection / 4, 2 * selection}) {
      for (WindowOptions windows :
          List.of(
              new WindowOptions(Division.UNIFORM, 0, false),
              new WindowOptions(Division.UNIFORM, 24, false))) {
        Setting sized = setting.with(windows).withSlots(slots, selection);
        Counts known = Simulation.run(recording, sized.with(Keeping.BELADY), 0.1);
        for (Keeping keeping : Keeping.values()) {
          Counts counts = Simulation.run(recording, sized.with(keeping), 0.1);
          assertThat(counts.hits() + counts.misses()).isEqualTo(known.hits() + known.misses());
          assertThat(known.misses())
              .as("%s in %d slots", keeping, slots)
              .isLessThanOrEqualTo(counts.misses());
        }
      }
    }
    Setting tight = setting.with(new WindowOptions(Division.UNIFORM, 0, false));
    assertThat(Simulation.run(recording, tight.with(Keeping.BELADY), 0.1).misses())
        .isLessThan(Simulation.run(recording, tight.with(Keeping.LRU), 0.1).misses());
  }

  @Test
  void whatIsNoRecordingIsRefused() throws IOException {
    Path file = folder.resolve("something");
    Files.writeString(file, "something else");
    assertThatThrownBy(() -> Recording.read(file))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(file.toString());
    for (String text : List.of("x", "something else that is as long as a recording begins")) {
      try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(file))) {
        out.write(text.getBytes(StandardCharsets.UTF_8));
      }
      assertThatThrownBy(() -> Recording.read(file))
          .isInstanceOf(IOException.class)
          .hasMessage(file + ": it is no recording that ./kvdrive eval --record has written");
    }
  }

  @Test
  void aRecordingSaysWhichBudgetsItHas() throws Exception {
    assertThat(run(new WindowOptions(Division.UNIFORM, 0, false)).recording().budgets())
        .containsExactly(0.25, 0.1);
  }
}
