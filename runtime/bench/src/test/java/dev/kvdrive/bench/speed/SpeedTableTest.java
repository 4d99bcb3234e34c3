package dev.kvdrive.bench.speed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class SpeedTableTest {
  private static SpeedRun run(long decodeMillis) {
    return new SpeedRun(1000, 10, 500_000_000L, decodeMillis * 1_000_000, 68, 0.75, 2e6);
  }

  @Test
  void aSpreadIsMedianSmallestAndLargest() {
    assertThat(Spread.of(3, 1, 2)).isEqualTo(new Spread(2, 1, 3));
    assertThat(Spread.of(4, 1, 2, 3)).isEqualTo(new Spread(2.5, 1, 4));
    assertThatThrownBy(Spread::of).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void decodeStandsBesideWhatTheBandwidthWouldAllow() {
    SpeedTable table = new SpeedTable(new Spread(20e9, 19e9, 21e9));
    SpeedTable.Row row =
        SpeedTable.Row.of(
            "tiny", "6.25 %", List.of(run(1000), run(500), run(2000)), 500_000_000, List.of());
    table.add(row);
    assertThat(row.decode()).isEqualTo(new Spread(10, 5, 20));
    assertThat(row.prefill().median()).isEqualTo(2000);
    assertThat(table.roofline(row)).isEqualTo(40);
    assertThat(table.markdown())
        .contains("20.0 GB/s (19.0..21.0)")
        .contains(
            "| tiny | 1000 | 6.25 % | 2000.0 (2000.0..2000.0) | 10.0 (5.0..20.0) | 500.0 MB |"
                + " 40.0 | 25 % | 75.0 % | 2.00 MB |");
  }

  @Test
  void whatIsNotKnownOfAnotherEngineIsADashAndNotInTheJson() {
    SpeedTable table = new SpeedTable(new Spread(20e9, 20e9, 20e9));
    SpeedRun other = new SpeedRun(8, 4, 1_000, 1_000, 10, Double.NaN, Double.NaN);
    table.add(SpeedTable.Row.of("other", "exact", List.of(other), 0, List.of()));
    assertThat(table.markdown()).endsWith("| - | - | - | - | - |\n");
    assertThat(table.tree().toString())
        .contains("engine=other")
        .doesNotContain("rooflineTokensPerSecond", "windowHitRate", "readBytesPerToken");
  }

  @Test
  void aRatioIsOfRunsThatWereSideBySide() {
    SpeedTable table = new SpeedTable(null);
    table.beside("other 1.0");
    List<SpeedRun> slower = List.of(run(1000), run(500), run(2000));
    table.add(
        SpeedTable.Row.of("tiny", "exact", List.of(run(500), run(1000), run(2000)), 0, slower));
    table.add(SpeedTable.Row.of("other", "exact", slower, 0, List.of()));
    assertThat(table.markdown())
        .startsWith("Beside: other 1.0\n\n| engine")
        .contains("| 10.0 (5.0..20.0) | 1.00 (1.00..1.00) | 1.00 (0.50..2.00) | - |")
        .contains("| 10.0 (5.0..20.0) | - | - | - |");
    assertThat(table.tree().toString()).contains("beside=other 1.0", "beside=Beside[");
  }

  @Test
  void withoutABandwidthThereIsNoRoofline() {
    SpeedTable table = new SpeedTable(null);
    table.on("some GPU");
    table.add(SpeedTable.Row.of("tiny", "exact", List.of(run(500)), 500_000_000, List.of()));
    assertThat(table.markdown())
        .startsWith("Device: some GPU\n\n| engine")
        .contains("| 500.0 MB | - | - | 75.0 % |");
    assertThat(table.tree().toString())
        .contains("device=some GPU", "readBytesPerToken=500000000")
        .doesNotContain("memoryBytesPerSecond", "rooflineTokensPerSecond");
  }

  @Test
  void aStageStandsBesideWhatItsBytesWouldTake() {
    StageTable table = new StageTable(new Spread(1e9, 1e9, 1e9));
    SpeedRun run =
        new SpeedRun(
            1000,
            10,
            1,
            1_000_000,
            68,
            0.75,
            500,
            Map.of("tensor.matmul", 200_000L, "tensor.logits", 100_000L, "index.score", 400_000L));
    table.add("tiny", List.of(run), new StepBytes(10_000, 0, 5_000, 0), 2);
    assertThat(table.markdown())
        .as("five steps of two sequences, of which each reads an index of its own")
        .contains("| products | 60 / 10 |", "| score | 80 / 10 |", "| fetch | 0 / 2 |")
        .contains("| host | 60 |", "| **all** | 200 / 22 |");
  }

  @Test
  void aRunGoesThroughThePipeUnchanged() throws IOException {
    SpeedRun run = new SpeedRun(1, 2, 3, 4, 5.5, Double.NaN, 1e12);
    assertThat(ProbeProcess.decode(ProbeProcess.encode(run))).isEqualTo(run);
    Stretch stretch = new Stretch(64, 2_000_000_000, 3, 4, 5);
    assertThat(stretch.rate()).isEqualTo(32);
    assertThat(ProbeProcess.decodeStretch(ProbeProcess.encode(stretch))).isEqualTo(stretch);
    assertThatThrownBy(() -> ProbeProcess.decodeStretch("1 2")).isInstanceOf(IOException.class);
    SpeedRun timed =
        new SpeedRun(1, 2, 3, 4, 5.5, 0.5, 1e12, Map.of("index.score", 7L, "kv.append", 8L));
    assertThat(ProbeProcess.decode(ProbeProcess.encode(timed))).isEqualTo(timed);
    assertThatThrownBy(() -> ProbeProcess.decode("1 2 3"))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("'1 2 3'");
    assertThatThrownBy(() -> ProbeProcess.decode("1 2 3 4 5 6 x")).isInstanceOf(IOException.class);
  }

  @Test
  void whatAProbeIsToMeasureGoesThroughItsArgumentsUnchanged() {
    ProbeSettings settings =
        new ProbeSettings(
            new LocalModel(
                Path.of("/models/a=b"), new RopeScaling(RopeScaling.Type.YARN, 4, 32_768), null),
            new ProbeSettings.Work(30_000, 64, 4, 8),
            new ProbeSettings.Attention(
                new Budget(0.25, 0.9),
                "kvdrive",
                IndexShape.parse("planes-96+clusters-16x4"),
                512,
                new Formats(ChunkFormat.BF16, ChunkFormat.INT8)),
            new ProbeSettings.Processor(DeviceKind.CPU, 3),
            new ProbeSettings.Tiers(1.5, 0.5, Path.of("/drive")).within(new TierBudgets(1, 2, 3)),
            new ProbeSettings.Parts(
                new WindowOptions(WindowOptions.Division.BY_REUSE, 8, true), false, 2),
            true);
    assertThat(ProbeSettings.parse(settings.argument())).isEqualTo(settings);
    assertThatThrownBy(() -> ProbeSettings.parse("{\"stages\": true}"))
        .hasMessageContaining("Missing creator property 'model'");
  }

  @Test
  void theBandwidthIsThatOfAllThreadsTogether() throws InterruptedException {
    Spread spread = MemoryBandwidth.measure(2, 8 << 20, 3);
    assertThat(spread.min()).isPositive().isLessThanOrEqualTo(spread.median());
    assertThat(spread.max()).isGreaterThanOrEqualTo(spread.median());
  }
}
