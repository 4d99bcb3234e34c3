package dev.kvdrive.bench.matrix;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.matrix.SpeedMatrix.CellFigures;
import dev.kvdrive.bench.speed.PacedProbe;
import dev.kvdrive.bench.speed.ProbeSettings;
import dev.kvdrive.bench.speed.SpeedRun;
import dev.kvdrive.bench.speed.Spread;
import dev.kvdrive.bench.speed.Stretch;
import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.WindowOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;
import org.junit.jupiter.api.Test;

/** On a machine whose time only passes when something is measured. */
class MatrixRunTest {
  private static final ModelGeometry MODEL = model();

  private long now;
  private final List<String> order = new ArrayList<>();
  private final List<ProbeSettings> started = new ArrayList<>();
  private final List<String> told = new ArrayList<>();
  private final Set<String> broken = new HashSet<>();
  private int closed;

  private final class FakeProbe implements PacedProbe {
    private final ProbeSettings settings;

    private FakeProbe(ProbeSettings settings) {
      this.settings = settings;
    }

    @Override
    public String description() {
      return "fake";
    }

    @Override
    public SpeedRun run() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void settle(int tokens) {
      now += 1_000_000_000;
    }

    @Override
    public long prompt() {
      now += 3_000_000_000L;
      return 3_000_000_000L;
    }

    /** A hundred tokens a second; quest ten. */
    @Override
    public Stretch go(int tokens) {
      if (broken.contains(settings.attention().policy())) {
        throw new IllegalStateException("broken");
      }
      order.add(settings.attention().policy() + " " + tokens);
      long nanos =
          tokens * (settings.attention().policy().equals("quest") ? 100_000_000L : 10_000_000L);
      now += nanos;
      return new Stretch(tokens * settings.work().sequences(), nanos, 1, 0, 0);
    }

    @Override
    public void close() {
      closed++;
    }
  }

  private final class FakeMachine implements MatrixRun.Machine {
    @Override
    public PacedProbe start(ProbeSettings settings) {
      started.add(settings);
      return new FakeProbe(settings);
    }

    @Override
    public int startsAtOnce() {
      return 1;
    }

    @Override
    public LongSupplier clock() {
      return () -> now;
    }

    @Override
    public void tell(String line) {
      told.add(line);
    }
  }

  private static ModelGeometry model() {
    return new ModelGeometry("fake", new ModelShape(6, 256, 4, 2, 64, 768, 8192), 65_536, 1 << 20);
  }

  private static ProbeSettings usual() {
    return new ProbeSettings(
        LocalModel.of(Path.of("fake")),
        new ProbeSettings.Work(1, 1, 1),
        new ProbeSettings.Attention(
            Budget.of(0.0625), "kvdrive", Formats.usual(ProbeSettings.KV, 0.0625, DeviceKind.CPU)),
        new ProbeSettings.Processor(DeviceKind.CPU, 1),
        new ProbeSettings.Tiers(2, 1, Path.of(".")),
        new ProbeSettings.Parts(WindowOptions.DEFAULT, true, DecodeOptions.ELASTIC),
        false);
  }

  private List<CellFigures> measure(
      Duration within, int rounds, Set<Variation> only, Cell... cells) {
    return new MatrixRun(
            usual(),
            MODEL,
            new MatrixRun.Extent(50, rounds, 20, Duration.ofSeconds(1), only, within),
            new FakeMachine())
        .measure(List.of(cells));
  }

  @Test
  void configurationsDecodeInTurnAndWhatIsSlowWritesLess() {
    List<CellFigures> figures =
        measure(
            Duration.ofHours(1), 2, EnumSet.of(Variation.QUEST), new Cell(4000, 2, Tiering.DRAM));
    assertThat(order)
        .containsExactly(
            "kvdrive 8", "quest 8", // after their prompts
            "kvdrive 50", "quest 10", // does not count
            "kvdrive 50", "quest 10",
            "quest 10", "kvdrive 50");
    Figures quest = figures.getFirst().of(Variation.QUEST).orElseThrow();
    assertThat(quest.failure()).isNull();
    assertThat(quest.rounds()).hasSize(2);
    assertThat(quest.rate().median()).isEqualTo(20);
    assertThat(quest.against(figures.getFirst().base().orElseThrow()))
        .isEqualTo(new Spread(0.1, 0.1, 0.1));
    assertThat(closed).isEqualTo(2);
  }

  @Test
  void whatThereIsNoTimeForIsTold() {
    Cell first = new Cell(4000, 1, Tiering.DRAM);
    List<CellFigures> figures =
        measure(
            Duration.ofSeconds(24),
            100,
            EnumSet.of(Variation.QUEST),
            first,
            new Cell(8000, 1, Tiering.DRAM));
    assertThat(figures).as("each has its part of the time").allMatch(CellFigures::measured);
    assertThat(now).isLessThan(Duration.ofSeconds(26).toNanos());
    assertThat(new SpeedMatrix(java.util.Map.of(), figures).missing())
        .hasSize(4)
        .allMatch(line -> line.contains("of 100 rounds"));
  }

  @Test
  void whatDoesNotStartInTimeIsLeftOut() {
    List<CellFigures> figures =
        measure(
            Duration.ofSeconds(5),
            1,
            EnumSet.allOf(Variation.class),
            new Cell(4000, 1, Tiering.DRAM));
    assertThat(figures.getFirst().figures().getFirst().promptNanos()).isPositive();
    assertThat(figures.getFirst().figures())
        .anyMatch(f -> "not started in time".equals(f.failure()))
        .anyMatch(f -> "its prompt was not read in time".equals(f.failure()));
    assertThat(closed).isEqualTo(started.size());
  }

  @Test
  void whatFailsDoesNotStopTheOthers() {
    broken.add("quest");
    List<CellFigures> figures =
        measure(
            Duration.ofHours(1),
            3,
            EnumSet.of(Variation.QUEST, Variation.FULL),
            new Cell(4000, 1, Tiering.DRAM));
    assertThat(figures.getFirst().of(Variation.QUEST).orElseThrow().failure())
        .isEqualTo("failed: broken");
    assertThat(figures.getFirst().of(Variation.FULL).orElseThrow().rounds()).hasSize(3);
  }

  @Test
  void allHaveTheSameBytesButThoseThatCannot() {
    measure(
        Duration.ofHours(1), 1, EnumSet.allOf(Variation.class), new Cell(8000, 1, Tiering.HALF));
    ProbeSettings base = started.getFirst();
    assertThat(started).hasSizeGreaterThan(12);
    for (ProbeSettings settings : started) {
      boolean free =
          settings.attention().budget().exact() && settings.attention().policy().equals("kvdrive");
      free |= settings.attention().denseBelow() > 0 || settings.work().seats() > 1;
      if (free) {
        assertThat(settings.tiers().caps()).isNull();
      } else {
        assertThat(settings.request(MODEL).tiers().withNvmeEncryption(NvmeEncryption.NONE))
            .isEqualTo(base.request(MODEL).tiers());
      }
    }
  }

  @Test
  void aVariationDiffersInOneThingOrIsNone() {
    measure(
        Duration.ofHours(1), 1, EnumSet.allOf(Variation.class), new Cell(8000, 4, Tiering.DRAM));
    assertThat(started).doesNotHaveDuplicates();
    assertThat(started)
        .as(
            "a model without clusters has no estimate, four sequences have no lone seat, windows are"
                + " in bf16, nothing is on NVMe")
        .hasSize(Variation.values().length - 5);
    assertThat(told)
        .filteredOn(line -> line.contains("nothing would differ"))
        .hasSize(5)
        .contains("8k, batch 4, all in DRAM, with bf16 windows: nothing would differ");
  }

  @Test
  void whatIsEncryptedIsSoInTheSameBytes() {
    measure(
        Duration.ofHours(1), 1, EnumSet.of(Variation.ENCRYPTION), new Cell(8000, 1, Tiering.HALF));
    assertThat(started)
        .extracting(settings -> settings.request(MODEL).tiers().nvmeEncryption())
        .containsExactlyInAnyOrder(NvmeEncryption.NONE, NvmeEncryption.AES_GCM);
  }

  @Test
  void aWindowIsInEitherFormatBesideTheOther() {
    ProbeSettings plain = usual();
    ProbeSettings int8 = Variation.INT8_WINDOWS.of(plain, MODEL);
    assertThat(Variation.BF16_WINDOWS.of(plain, MODEL)).isNull();
    assertThat(Variation.INT8_WINDOWS.of(requireNonNull(int8), MODEL)).isNull();
    assertThat(Variation.BF16_WINDOWS.of(int8, MODEL)).isEqualTo(plain);
  }
}
