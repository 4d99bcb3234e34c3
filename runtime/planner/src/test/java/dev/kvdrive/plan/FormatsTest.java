package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;

class FormatsTest {
  private static final ModelGeometry MODEL =
      new ModelGeometry("m", new ModelShape(2, 512, 8, 4, 64, 512, 1000), 1 << 17, 0);

  private static PlanRequest request(Formats formats) {
    return PlanRequest.of(
            MODEL,
            new Load(65536, 1, 8),
            0.0625,
            KvType.BF16,
            new TierBudgets(ByteSize.GIB, ByteSize.GIB, 0),
            DeviceKind.CPU)
        .attending(a -> a.withFormats(formats));
  }

  @Test
  void aHalfOfAnInt8ChunkIsItsCodesAndAStepForEachRow() {
    ChunkLayout chunk = new ChunkLayout(ChunkFormat.INT8, 64, 8);
    assertThat(chunk.stepOffset()).isEqualTo(8 * 64);
    assertThat(chunk.valueOffset()).isEqualTo(8 * 64 + 8 * 2);
    assertThat(chunk.bytes()).isEqualTo(1056);
    assertThat(new ChunkLayout(ChunkFormat.BF16, 64, 8).bytes()).isEqualTo(2048);
  }

  @Test
  void halvesWithStepsBeginWhereVectorsCanBeLoaded() {
    for (int headDim = 1; headDim < 300; headDim++) {
      ChunkLayout chunk = new ChunkLayout(ChunkFormat.INT8, headDim, 8);
      assertThat(chunk.valueOffset() % ChunkLayout.ALIGNMENT).isZero();
      assertThat(chunk.valueOffset()).isGreaterThanOrEqualTo(8 * headDim + 8 * 2);
    }
  }

  @Test
  void int8BackingHalvesWhatTokensTakeBelowTheGpu() {
    long plain =
        Planner.plan(request(Formats.of(KvType.BF16))).requireSizes().layout().backingBytes(1000);
    Plan plan = Planner.plan(request(new Formats(ChunkFormat.BF16, ChunkFormat.INT8)));
    long int8 = plan.requireSizes().layout().backingBytes(1000);
    assertThat((double) int8 / plain).isBetween(0.5, 0.52);
    assertThat(plan.demands())
        .anySatisfy(
            demand -> {
              assertThat(demand.item()).isEqualTo("frames");
              assertThat(demand.arithmetic()).contains("31 chunks in int8 each");
            });
  }

  @Test
  void int8WindowsHaveNearlyTwiceTheSlotsInTheSameBytes() {
    PlanRequest plain = request(Formats.of(KvType.BF16));
    long gpu = Planner.plan(plain).demand(Demand.Tier.GPU) / 2;
    TierBudgets tight = new TierBudgets(gpu, ByteSize.GIB, 0);
    int before = Planner.plan(plain.withTiers(tight)).requireSizes().windowSlots();
    int after =
        Planner.plan(request(new Formats(ChunkFormat.INT8, ChunkFormat.INT8)).withTiers(tight))
            .requireSizes()
            .windowSlots();
    assertThat((double) after / before).isBetween(1.85, 1.95);
  }

  @Test
  void chunksAreInt8BelowTheWindowUnlessAllIsAttendedOrAWiderTypeWasAskedFor() {
    Formats plain = Formats.of(KvType.BF16);
    assertThat(Formats.usual(KvType.BF16, 0.0625, DeviceKind.CPU))
        .isEqualTo(new Formats(ChunkFormat.BF16, ChunkFormat.INT8));
    assertThat(Formats.usual(KvType.BF16, 0.0625, DeviceKind.CUDA))
        .as("on a GPU in the window too")
        .isEqualTo(new Formats(ChunkFormat.INT8, ChunkFormat.INT8));
    assertThat(Formats.of(KvType.BF16, 0.0625, DeviceKind.CUDA, ChunkFormat.BF16, null))
        .as("unless it is said")
        .isEqualTo(new Formats(ChunkFormat.BF16, ChunkFormat.INT8));
    assertThat(Formats.usual(KvType.BF16, 1, DeviceKind.CUDA)).isEqualTo(plain);
    assertThat(Formats.usual(KvType.F32, 0.0625, DeviceKind.CUDA))
        .isEqualTo(Formats.of(KvType.F32));
    assertThat(Formats.of(KvType.BF16, 0.0625, DeviceKind.CUDA, null, ChunkFormat.BF16))
        .isEqualTo(plain);
    assertThat(Formats.of(KvType.BF16, 1, DeviceKind.CPU, ChunkFormat.INT8, null))
        .isEqualTo(new Formats(ChunkFormat.INT8, ChunkFormat.INT8));
  }

  @Test
  void whatCannotBeIsRefusedWithWhatCan() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> request(new Formats(ChunkFormat.INT8, ChunkFormat.BF16)))
        .withMessageContaining("write backing INT8 too, or resident BF16");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> request(new Formats(ChunkFormat.BF16, ChunkFormat.F32)))
        .withMessageContaining(
            "backing F32, but keys and values are BF16: a chunk is BF16 or INT8");
  }
}
