package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class ClusterFormatTest {
  private static final KvLayout LAYOUT = new KvLayout(2, 2, 64, KvType.BF16, ChunkGrid.PAPER, 16);

  @Test
  void anIndexIsReadAsItIsWritten() {
    for (String word :
        new String[] {
          "two-bit",
          "planes-96",
          "two-bit+clusters-64",
          "planes-96+clusters-32",
          "planes-96+clusters-16x4"
        }) {
      assertThat(IndexShape.parse(word).word()).isEqualTo(word);
    }
    assertThat(IndexShape.parse("planes-96").clusters()).isNull();
    assertThat(IndexShape.parse("planes-96+clusters-64").clusters())
        .isEqualTo(ClusterFormat.of(64));
    assertThat(IndexShape.parse("planes-96+clusters-16x4").clusters())
        .isEqualTo(ClusterFormat.of(16).inNibbles());
  }

  @Test
  void whatIsNoEstimateIsToldWithTheWayOut() {
    assertThatThrownBy(() -> IndexShape.parse("planes-96+means"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("no estimate 'means'")
        .hasMessageContaining("planes-96+clusters-64");
    assertThatThrownBy(() -> IndexShape.parse("two-bit+clusters-16x3"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("clusters-16x4 for 16 and 4 bits an element");
    for (String word : new String[] {"two-bit+clusters-65", "two-bit+clusters-4"}) {
      assertThatThrownBy(() -> IndexShape.parse(word))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("power of two");
    }
    assertThatThrownBy(() -> IndexShape.parse("best+clusters-64"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("no index 'best'");
  }

  @Test
  void aTokenHasTwoBytesOfAClusterAndTwoOfItsNumber() {
    ClusterFormat format = ClusterFormat.of(64);
    assertThat(format.bytes(LAYOUT)).isEqualTo(4 + 2 * (4 + 64));
    assertThat(format.clusters(LAYOUT, 0)).isZero();
    assertThat(format.clusters(LAYOUT, 1)).isEqualTo(1);
    assertThat(format.clusters(LAYOUT, 8)).isEqualTo(1);
    assertThat(format.clusters(LAYOUT, 9)).isEqualTo(2);
    assertThat(format.segmentChunks(LAYOUT)).isEqualTo(1024);
    double ofToken = format.bytesOfHead(LAYOUT, 2048) / (2048 * 8.0);
    assertThat(ofToken).isBetween(4.1, 4.2);
  }

  @Test
  void inFourBitsTwiceAsManyClustersTakeTheSameBytes() {
    ClusterFormat format = ClusterFormat.of(16).inNibbles();
    assertThat(format.bytes(LAYOUT)).isEqualTo(2 + 2 * (2 + 32));
    assertThat(format.bytesOfToken(LAYOUT)).isEqualTo(ClusterFormat.of(32).bytesOfToken(LAYOUT));
    assertThat(format.bytesOfHead(LAYOUT, 2048))
        .isEqualTo(1024 * 70 + 2 * 8 * 2048 + 4 + 4 * (1 + 64));
    assertThatThrownBy(() -> ClusterFormat.byKeys(16).inNibbles())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("only clusters of tokens by keys and values");
  }

  @Test
  void aStepIsTheNearestToWhatTheLargestElementNeeds() {
    for (float largest = 0x1p-16f; largest < 0x1p13f; largest *= 1.01f) {
      float step = ClusterFormat.step(ClusterFormat.stepCode(largest));
      assertThat(7.5f * step).isBetween(0.94f * largest, 1.063f * largest);
      assertThat(ClusterFormat.stepCode(7.5f * step)).isEqualTo(ClusterFormat.stepCode(largest));
    }
    assertThat(ClusterFormat.step(ClusterFormat.stepCode(0))).isZero();
    assertThat(ClusterFormat.stepCode(Float.MIN_VALUE)).isZero();
    assertThat(ClusterFormat.stepCode(Float.MAX_VALUE)).isEqualTo(255);
    assertThat(ClusterFormat.stepCode(Float.POSITIVE_INFINITY)).isEqualTo(255);
  }

  @Test
  void valuesWeighFromAThirdToThreeQuartersOfWhatWouldMakeThemEqual() {
    for (float keys : new float[] {1e-20f, 0.3f, 1, 7, 1000, 1e20f}) {
      for (float values : new float[] {1e-15f, 0.5f, 3, 1e15f}) {
        double weight = ClusterFormat.valueWeight(keys, values);
        assertThat(weight * Math.sqrt((double) values / keys)).isBetween(0.35, 0.71);
        assertThat(Math.scalb(1d, Math.getExponent(weight))).isEqualTo(weight);
      }
    }
    float[] odd = {0, Float.MIN_VALUE, Float.MAX_VALUE, Float.POSITIVE_INFINITY, Float.NaN};
    for (float x : odd) {
      assertThat(ClusterFormat.valueWeight(0, x)).isZero();
      assertThat(ClusterFormat.valueWeight(x, 0)).isZero();
    }
    assertThat(ClusterFormat.valueWeight(Float.MIN_VALUE, 1)).isZero();
    assertThat(ClusterFormat.valueWeight(Float.POSITIVE_INFINITY, 1)).isZero();
  }

  @Test
  void aClusterOfChunksHasNoValueAndNumbersChunks() {
    ClusterFormat format = ClusterFormat.ofChunks(32);
    assertThat(format.word()).isEqualTo("centroids-32");
    assertThat(format.bytes(LAYOUT)).isEqualTo(4 + 4 + 64);
    assertThat(format.clusters(LAYOUT, 9)).isEqualTo(3);
    assertThat(format.bytesOfHead(LAYOUT, 2048)).isEqualTo(512 * 72 + 2 * 2048 + 8);
    assertThat(format.bytesOfToken(LAYOUT)).isEqualTo(72 / 32.0 + 2 / 8.0);
  }

  @Test
  void aPlanCountsTheEstimate() {
    TierBudgets tiers = new TierBudgets(1L << 30, 1L << 30, 0);
    PlanRequest without =
        PlanRequest.of(
            PlannerTest.TINY, new Load(16_384, 2, 8), 0.0625, KvType.BF16, tiers, DeviceKind.CPU);
    PlanRequest with =
        without.attending(
            a ->
                a.withPolicy(
                    PolicyShape.KVDRIVE.withIndex(IndexShape.parse("two-bit+clusters-64"))));
    assertThat(estimate(without)).isZero();
    int chunks = ChunkGrid.PAPER.closedChunks(16_384);
    assertThat(estimate(with))
        .isEqualTo(2L * 6 * 2 * ((chunks + 7) / 8 * 140L + 2L * 8 * chunks + 8));
  }

  private static long estimate(PlanRequest request) {
    return Planner.plan(request).demands().stream()
        .filter(d -> d.item().equals("estimate"))
        .mapToLong(Demand::bytes)
        .sum();
  }

  @Test
  void moreClustersThanHaveNumbersAreRefusedWithTheWayOut() {
    PlanRequest request =
        PlanRequest.of(
            PlannerTest.LLAMA_8B,
            new Load(1_000_000, 1, 8),
            0.0625,
            KvType.BF16,
            new TierBudgets(0, 0, 0),
            DeviceKind.CUDA);
    assertThatThrownBy(
            () ->
                request.attending(
                    a ->
                        a.withPolicy(
                            PolicyShape.KVDRIVE.withIndex(IndexShape.parse("two-bit+clusters-8")))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("more than 65,536 clusters of 8 tokens; take clusters of 16");
  }
}
