package dev.kvdrive.bench.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.InfeasiblePlanException;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ComfortableTiersTest {
  private static final ModelGeometry MODEL =
      new ModelGeometry("tiny", new ModelShape(6, 256, 4, 2, 64, 768, 8192), 32768, 7_500_000);

  private static PlanRequest request(int context, int concurrency, double budget) {
    return PlanRequest.of(
        MODEL,
        new Load(context, concurrency, 8),
        budget,
        KvType.BF16,
        new TierBudgets(0, 0, 0),
        DeviceKind.CPU);
  }

  private static Plan plan(PlanRequest request, ComfortableTiers tiers) {
    return Planner.plan(request.withTiers(tiers.of(request)));
  }

  private static int extents(PlanRequest request, EngineSizes sizes) {
    return request.load().concurrency()
        * MODEL.layers()
        * MODEL.kvHeads()
        * sizes.layout().extents(sizes.maxChunks());
  }

  @ParameterizedTest
  @CsvSource({"4096, 1, 0.0625", "2048, 1, 1", "8192, 2, 0.25", "32768, 1, 0.0156"})
  void withLittleDramAPlanFitsAndNeedsAllThreeTiers(int context, int concurrency, double budget) {
    PlanRequest request = request(context, concurrency, budget);
    Plan plan = plan(request, new ComfortableTiers(budget >= 1 ? 0.25 : 2, 0.4));
    assertThat(plan.feasible()).as(plan.verdict()).isTrue();
    EngineSizes sizes = plan.requireSizes();
    assertThat(sizes.dramFrames()).isLessThan(extents(request, sizes));
    assertThat(sizes.nvmeExtents()).isEqualTo(extents(request, sizes));
    assertThat(sizes.windowSlots())
        .isLessThan(sizes.maxChunks())
        .isGreaterThanOrEqualTo((int) ((budget >= 1 ? 0.25 : 2) * sizes.maxSelected()));
  }

  @ParameterizedTest
  @CsvSource({"2048, 1, 0.0625", "8192, 3, 1"})
  void withAllTheDramNoNvmeIsNeeded(int context, int concurrency, double budget) {
    PlanRequest request = request(context, concurrency, budget);
    Plan plan = plan(request, new ComfortableTiers(1, 1));
    assertThat(plan.feasible()).as(plan.verdict()).isTrue();
    EngineSizes sizes = plan.requireSizes();
    assertThat(sizes.nvmeExtents()).isZero();
    assertThat(sizes.dramFrames()).isGreaterThanOrEqualTo(extents(request, sizes));
  }

  @Test
  void aMebibyteLessOfAnyTierWouldNotGrantTheWish() {
    PlanRequest request = request(8192, 1, 0.0625);
    TierBudgets tiers = new ComfortableTiers(2, 0.4).of(request);
    EngineSizes granted = Planner.plan(request.withTiers(tiers)).requireSizes();
    long mib = 1 << 20;
    EngineSizes lessGpu =
        Planner.plan(
                request.withTiers(new TierBudgets(tiers.gpu() - mib, tiers.dram(), tiers.nvme())))
            .requireSizes();
    assertThat(lessGpu.windowSlots()).isLessThan(2 * granted.maxSelected());
    EngineSizes lessNvme =
        Planner.plan(
                request.withTiers(new TierBudgets(tiers.gpu(), tiers.dram(), tiers.nvme() - mib)))
            .requireSizes();
    assertThat(lessNvme.nvmeExtents()).isLessThan(granted.nvmeExtents());
  }

  @Test
  void moreContextThanTheModelHasIsNoMatterOfBudgets() {
    PlanRequest request = request(65536, 1, 0.0625);
    assertThatThrownBy(() -> new ComfortableTiers(2, 1).of(request))
        .isInstanceOf(InfeasiblePlanException.class)
        .hasMessageContaining("trained for 32,768 tokens");
  }
}
