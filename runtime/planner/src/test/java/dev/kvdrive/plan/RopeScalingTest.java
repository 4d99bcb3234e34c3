package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** A context is extended by a factor of what is stretched, where nothing else bounds it. */
class RopeScalingTest {
  private static ModelGeometry model(int maxContext, ContextLimit limit) {
    return new ModelGeometry(
        "m",
        new ModelShape(2, 64, 4, 2, 16, 128, 512),
        maxContext,
        1,
        1,
        1,
        PackedWeights.NONE,
        limit,
        false);
  }

  private static RopeScaling yarn(double factor, @Nullable Integer original) {
    return new RopeScaling(RopeScaling.Type.YARN, factor, original);
  }

  @Test
  void extendsByItsFactorOfTheOriginalContext() {
    ModelGeometry qwen3 = model(40_960, ContextLimit.TRAINED);
    assertThat(qwen3.extended(yarn(4, 32_768)).maxContext()).isEqualTo(131_072);
    assertThat(qwen3.extended(yarn(2.5, null)).maxContext()).isEqualTo(102_400);
    assertThat(qwen3.extended(yarn(4, null)).limit()).isEqualTo(ContextLimit.EXTENDED);
    assertThat(qwen3.extended(null)).isSameAs(qwen3);
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "TRAINED")
  void extendsNothingThatSomethingElseBounds(ContextLimit limit) {
    assertThatThrownBy(() -> model(4096, limit).extended(yarn(4, null)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("4,096 tokens are " + limit.words())
        .hasMessageContaining("leave rope scaling out");
  }

  @ParameterizedTest
  @CsvSource({
    "4, 50000, starts from 50",
    "1.2, 32768, no more than the 40",
    "1, , above 1",
    "NaN, , above 1",
    "2000, , at most 1024",
    "4, 0, at least 1",
  })
  void refusesWhatCannotBeMeant(double factor, @Nullable Integer original, String message) {
    assertThatThrownBy(() -> model(40_960, ContextLimit.TRAINED).extended(yarn(factor, original)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @Test
  void refusesAContextBeyondAnyPlan() {
    assertThatThrownBy(() -> model(1 << 20, ContextLimit.TRAINED).extended(yarn(1024, null)))
        .hasMessageContaining("a plan is possible");
  }

  @ParameterizedTest
  @CsvSource({
    "TRAINED, yarn with a factor of 4",
    "SCALED, its own rope scaling",
    "EXTENDED, the rope scaling that was asked for",
    "WINDOW, the sliding window",
    "CHUNKED, dual chunk attention",
  })
  void aPlanSaysWhatBoundsTheContext(ContextLimit limit, String words) {
    Plan plan =
        Planner.plan(
            PlanRequest.of(
                model(40_960, limit),
                new Load(131_072, 1, 8),
                0.0625,
                KvType.BF16,
                new TierBudgets(1L << 30, 1L << 30, 4L << 30),
                DeviceKind.CPU));
    assertThat(plan.feasible()).isFalse();
    assertThat(Objects.toString(plan.verdict())).contains(words).contains("131,072");
  }
}
