package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.Workspace;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What every policy owes, whatever it chooses: its tokens depend on no tier, window, thread or
 * batch, at 100 % it is dense attention, and it takes what its plan says. What published ones
 * choose is checked by {@code PaperConformance}.
 */
public abstract class PolicyConformance extends EngineTest {
  private static final int COMBINATIONS = Integer.getInteger("kvdrive.combinations", 2);
  private static final long MIB = 1L << 20;

  /** All there are; of two layers only one may be dense, so that the other is sparse. */
  static List<PolicyShape> policies() {
    return PolicyShape.all().stream()
        .map(shape -> shape.denseLayers() > 0 ? shape.withDenseLayers(1) : shape)
        .toList();
  }

  private Map<String, List<GeneratedToken>> alone(EngineShape shape) {
    Map<String, List<GeneratedToken>> answers = new HashMap<>();
    try (KvDriveEngine engine = start(shape)) {
      for (GenerationRequest request : SameTokensConformance.requests()) {
        answers.put(request.id(), generate(engine, request).tokens());
      }
    }
    return answers;
  }

  @ParameterizedTest
  @MethodSource("policies")
  void aBudgetOfEverythingIsDenseAttention(PolicyShape policy) {
    Map<String, List<GeneratedToken>> dense =
        alone(EngineShape.roomy(1).withPolicy(PolicyShape.FULL));
    EngineShape tight = EngineShape.tight(1).with(2, true).withPolicy(policy);
    try (KvDriveEngine engine = start(tight)) {
      compare(
          policy.name(), engine, dense, SameTokensConformance.requests(), new SplittableRandom(11));
    }
  }

  @ParameterizedTest
  @MethodSource("policies")
  void tokensDependOnNoTierWindowThreadOrBatch(PolicyShape policy) {
    double budget = policy.selects() ? 0.2 : 1;
    SplittableRandom random = new SplittableRandom(policy.name().hashCode());
    Map<String, List<GeneratedToken>> expected =
        alone(EngineShape.roomy(budget).withPolicy(policy));
    for (int i = 0; i < COMBINATIONS; i++) {
      EngineShape shape =
          SameTokensConformance.combination(random, budget, KvType.F32).withPolicy(policy);
      Device before = device;
      device = open(CAPACITY, 1 + random.nextInt(4));
      before.close();
      try (KvDriveEngine engine = start(shape)) {
        compare(
            policy.name() + ", combination " + i + ": " + shape,
            engine,
            expected,
            SameTokensConformance.requests(),
            random);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("policies")
  void itTakesTheMemoryThatIsPlanned(PolicyShape policy) {
    DeviceKind kind = device.activationType() == ElementType.F32 ? DeviceKind.CPU : DeviceKind.CUDA;
    int chunks = ChunkGrid.PAPER.closedChunks(256);
    long gpu = 24 * MIB + Workspace.deviceBytes(kind, model.geometry(), chunks);
    PlanRequest request =
        PlanRequest.of(
                model.geometry(),
                new Load(256, 3, 4),
                policy.selects() ? 0.0625 : 1,
                KvType.BF16,
                new TierBudgets(gpu, 16 * MIB, 64 * MIB),
                kind)
            .attending(a -> a.withPolicy(policy).withDenseBelow(0));
    Plan plan = Planner.plan(request);
    try (KvDriveEngine engine =
        start(
            EngineSettings.of(plan.requireSizes(), device, directory)
                .withScheduling(s -> s.withWarmUpTokens(0)))) {
      assertThat(device.usedBytes()).isEqualTo(plan.allocatedOnDevice());
      int window = engine.sizes().windowSlots();
      switch (policy.window()) {
        case ONE_SELECTION -> assertThat(window).isEqualTo(engine.sizes().maxSelected());
        case ONE_PASS -> assertThat(window).isEqualTo(engine.sizes().passChunks());
        case WHAT_IS_LEFT -> assertThat(window).isGreaterThan(engine.sizes().maxSelected() - 1);
      }
      generate(engine, request("a", 200, 8)).finish();
    }
  }

  @Test
  void whatIsOffloadedComesAnewInEveryStep() {
    try (KvDriveEngine engine = start(EngineShape.roomy(1).withPolicy(PolicyShape.FULL_OFFLOAD))) {
      generate(engine, request("a", 200, 8)).finish();
      assertThat(engine.status().hits()).isZero();
      assertThat(engine.status().dramMisses()).isPositive();
    }
  }

  @Test
  void aDenseLayerAttendsEverythingWhateverTheBudget() {
    PolicyShape sparse = PolicyShape.QUEST.withDenseLayers(0);
    GenerationUsage none = usage(sparse);
    GenerationUsage one = usage(sparse.withDenseLayers(1));
    GenerationUsage both = usage(sparse.withDenseLayers(2));
    assertThat(both.attendedTokens()).isEqualTo(both.contextTokens());
    assertThat(one.attendedTokens()).isEqualTo((none.attendedTokens() + both.attendedTokens()) / 2);
  }

  private GenerationUsage usage(PolicyShape policy) {
    try (KvDriveEngine engine = start(EngineShape.tight(0.1).withPolicy(policy))) {
      return generate(engine, request("a", 220, 8)).finish().usage();
    }
  }
}
