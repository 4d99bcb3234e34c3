package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.plan.Demand.Tier;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tuple;
import org.junit.jupiter.api.Test;

class PlannerTest {
  static final ModelGeometry TINY =
      new ModelGeometry(
          "kvdrive-tiny-32k", new ModelShape(6, 256, 4, 2, 64, 768, 8192), 32768, 7_225_344);
  static final ModelGeometry LLAMA_8B =
      new ModelGeometry(
          "llama-3-8b-1m",
          new ModelShape(32, 4096, 32, 8, 128, 14336, 128256),
          1_048_576,
          16_060_522_496L);

  static PlanRequest request(
      ModelGeometry model, int context, int concurrency, double budget, TierBudgets tiers) {
    return PlanRequest.of(
        model, new Load(context, concurrency, 8), budget, KvType.BF16, tiers, DeviceKind.CUDA);
  }

  static TierBudgets gib(double gpu, double dram, double nvme) {
    return new TierBudgets(
        (long) (gpu * ByteSize.GIB), (long) (dram * ByteSize.GIB), (long) (nvme * ByteSize.GIB));
  }

  @Test
  void anEightBillionModelAt60kTimes8NeedsWhatTheArithmeticSays() {
    Plan plan = Planner.plan(request(LLAMA_8B, 60_000, 8, 0.0156, gib(40, 64, 100)));

    assertThat(plan.feasible()).as(plan.verdict()).isTrue();
    assertThat(plan.requireSizes().layout().bytesPerToken()).isEqualTo(128 * 1024);
    assertThat(plan.requireSizes().layout().resident().bytes()).isEqualTo(2 * (8 * 128 + 8 * 2));
    assertThat(plan.requireSizes().layout().backing().bytes()).isEqualTo(2 * (8 * 128 + 8 * 2));
    assertThat(plan.requireSizes().maxChunks()).isEqualTo((60_000 - 68) / 8);
    Demand index =
        plan.demands().stream().filter(d -> d.item().equals("index")).findFirst().orElseThrow();
    assertThat(index.bytes()).isEqualTo(8L * 32 * 8 * 7491 * 8 * (128 / 4 + 2));
  }

  @Test
  void aGpuTierHoldsWhatTheGpuTakesForItself() {
    PlanRequest request = request(LLAMA_8B, 131_072, 1, 0.0156, gib(40, 64, 0));
    Plan plan = Planner.plan(request);
    Demand own = demand(plan, Demand.DEVICE);
    long queues = 2 * Workspace.QUEUE_BYTES;
    assertThat(own.bytes())
        .isEqualTo(768 * ByteSize.MIB + queues + 64 * ((64 << 10) + 32L * 48 * 1024));
    assertThat(plan.allocatedOnDevice()).isEqualTo(plan.demand(Tier.GPU) - own.bytes());
    assertThat(plan.demand(Tier.GPU)).isLessThanOrEqualTo(40 * ByteSize.GIB);

    PlanRequest onCpu =
        PlanRequest.of(
            LLAMA_8B, new Load(131_072, 1), 0.0156, KvType.BF16, gib(80, 64, 0), DeviceKind.CPU);
    assertThat(Planner.plan(onCpu).demands())
        .noneMatch(demand -> demand.item().equals(Demand.DEVICE));
  }

  @Test
  void weightsAreCountedAsTheDeviceHoldsThem() {
    // A quantised file: 1.0625 bytes for each element on the CPU, 2 on a GPU, 4 for vectors.
    ModelGeometry model =
        new ModelGeometry(
            "m", new ModelShape(2, 64, 4, 2, 16, 128, 512), 4096, 106_250, 100_000, 1000);
    for (DeviceKind device : DeviceKind.values()) {
      Plan plan =
          Planner.plan(
              PlanRequest.of(model, new Load(1024, 1, 8), 1, KvType.BF16, gib(1, 1, 1), device));
      Demand weights =
          plan.demands().stream().filter(d -> d.item().equals("weights")).findFirst().orElseThrow();
      assertThat(weights.bytes()).isEqualTo(device == DeviceKind.CPU ? 106_250 : 204_000);
      assertThat(weights.arithmetic()).contains(device.weights());
    }
  }

  @Test
  void matricesThatStayPackedAreCountedAsTheyAreWithThePlaceWhereTheyAreWidened() {
    // Of 100,000 elements in matrices 64,000 are packed in 8 bits, with a step for 32 of them.
    PackedWeights packed = new PackedWeights(64_000, WeightFormat.Q8_0.bytes(64, 1000 / 32 * 32));
    ModelShape shape = new ModelShape(2, 64, 4, 2, 16, 128, 512);
    ModelGeometry plain = new ModelGeometry("m", shape, 4096, 106_250, 100_000, 1000);
    ModelGeometry model =
        new ModelGeometry(
            "m", shape, 4096, 106_250, 100_000, 1000, packed, ContextLimit.TRAINED, false);
    assertThat(model.weightBytes(DeviceKind.CPU)).isEqualTo(106_250);
    assertThat(model.weightBytes(DeviceKind.CUDA))
        .isEqualTo(2 * 36_000 + 64 * 992 * 34 / 32 + 4 * 1000);
    assertThat(
            Workspace.deviceBytes(DeviceKind.CUDA, model, 100)
                - Workspace.deviceBytes(DeviceKind.CUDA, plain, 100))
        .isEqualTo(Workspace.WIDENED_BYTES);
    assertThat(model.calibrated(true).packed()).isEqualTo(packed);
    assertThat(plain.packedIn(150_000).weightBytes(DeviceKind.CUDA)).isEqualTo(150_000);
    assertThat(plain.packedIn(150_000).packed().none()).isFalse();
  }

  @Test
  void aPieceOfThePackedMatrixOfTheLongestRowsCanBeWidened() {
    long tile = 2L * WeightFormat.TILE_ROWS * ModelGeometry.MAX_FEED_FORWARD;
    assertThat(tile).isLessThanOrEqualTo(Workspace.WIDENED_BYTES);
  }

  @Test
  void ofAModelWhoseFilesAreNotKnownThereAreNeverMoreWeightsThanCounted() {
    // Llama 3 8B: 8,030,261,248 parameters, of which 65 norms of 4,096.
    long vectors = 65L * 4096;
    assertThat(LLAMA_8B.matrixElements()).isEqualTo(8_030_261_248L - vectors);
    assertThat(LLAMA_8B.vectorElements()).isGreaterThanOrEqualTo(vectors);
  }

  @Test
  void everyClosedChunkHasAPlaceInDramOrOnNvme() {
    Plan plan = Planner.plan(request(LLAMA_8B, 131_072, 8, 0.0156, gib(48, 96, 400)));
    EngineSizes sizes = plan.requireSizes();
    long needed = 8L * 32 * 8 * sizes.layout().extents(sizes.maxChunks());
    assertThat(sizes.dramFrames() + sizes.nvmeExtents()).isGreaterThanOrEqualTo(needed);
  }

  @Test
  void whatDoesNotFitIsExplainedWithNumbersAndAlternatives() {
    Plan plan = Planner.plan(request(LLAMA_8B, 131_072, 8, 0.0156, gib(24, 16, 20)));

    assertThat(plan.feasible()).isFalse();
    assertThat(plan.verdict())
        .contains("does not fit")
        .contains(
            "KV cache: 8 sequences x 131,072 tokens x 65.0 KiB per token in int8 are 65.0 GiB")
        .contains("What would fit:");
    assertThat(Planner.plan(request(LLAMA_8B, 131_072, 1, 0.0156, gib(24, 4, 2))).verdict())
        .contains("KV cache: 1 sequence x 131,072 tokens");
    assertThat(plan.alternatives()).isNotEmpty();
    assertThatThrownBy(plan::requireSizes)
        .isInstanceOf(InfeasiblePlanException.class)
        .hasMessage(plan.verdict());
  }

  @Test
  void aContextBeyondTheModelIsRefused() {
    Plan plan = Planner.plan(request(TINY, 65_536, 1, 1, gib(4, 4, 0)));
    assertThat(plan.shortfalls())
        .anyMatch(
            s ->
                s.startsWith(
                    "The model was trained for 32,768 tokens of context, 65,536 were asked for."));
    assertThat(plan.alternatives().getFirst().request().load().contextLength()).isEqualTo(32_768);
    assertThat(plan.alternatives()).hasSize(1); // nothing is missing but that
  }

  @Test
  void ofAContextBeyondTheModelItIsSaidWhatTheModelsOwnNeeds() {
    Plan plan = Planner.plan(request(TINY, 65_536, 2, 1, gib(0.01, 0.05, 0.01)));
    assertThat(plan.shortfalls()).anyMatch(s -> s.contains("trained for 32,768 tokens"));
    Alternative add = plan.alternatives().getLast();
    assertThat(add.text()).matches("32,768 tokens with \\d+Mi of GPU memory, .*");
    assertThat(add.request().load().contextLength()).isEqualTo(32_768);
    assertThat(add.request().load().concurrency()).isEqualTo(2);
    assertThat(Planner.plan(add.request()).feasible()).isTrue();
  }

  @Test
  void whatIsToBeAddedOfNvmeIsAVolumeAndNotTheBytesOnIt() {
    TierBudgets tiers = gib(40, 16, 20);
    Plan plan = Planner.plan(request(LLAMA_8B, 131_072, 8, 0.0156, tiers));
    assertThat(plan.verdict())
        .contains("A filesystem on a volume of 20.0 GiB may leave no more than 18.3 GiB");
    PlanRequest added = plan.alternatives().getLast().request();
    EngineSizes sizes = Planner.plan(added).requireSizes();
    long least = sizes.leastNvmeExtents() * sizes.layout().extentBytes();
    assertThat(added.tiers().nvme()).isEqualTo(VolumeSpace.volumeFor(least));
  }

  @Test
  void budgetsBeyondAllMeasureDoNotOverflow() {
    long most = Long.MAX_VALUE;
    for (DeviceKind device : DeviceKind.values()) {
      Plan plan =
          Planner.plan(
              PlanRequest.of(
                  TINY,
                  new Load(1024, 1, 8),
                  1,
                  KvType.BF16,
                  new TierBudgets(most, most, most),
                  device));
      assertThat(plan.requirePod().memoryBytes()).isPositive();
    }
  }

  @Test
  void aShortPromptHasMemoryBesideALongOneWhereThereIsASeatForIt() {
    Plan one = Planner.plan(request(LLAMA_8B, 1_048_576, 1, 0.0156, gib(60, 200, 400)));
    Plan two = Planner.plan(request(LLAMA_8B, 1_048_576, 2, 0.0156, gib(60, 200, 400)));
    assertThat(one.requireSizes().shortPrompt()).isZero();
    assertThat(one.requireSizes().residualBlocks()).isEqualTo(512);
    assertThat(two.requireSizes().shortPrompt()).isEqualTo(4096);
    assertThat(two.requireSizes().residualBlocks()).isEqualTo(512 + 128);
    // One layer of 4,096 tokens, 8 heads of 128 elements in bf16: little beside what there is.
    long more = demand(two, "prefill").bytes() - demand(one, "prefill").bytes();
    assertThat(more).isEqualTo(4096L * 2 * 8 * 128 * 2).isLessThan(20 * ByteSize.MIB);
    assertThat(demand(two, "prefill").arithmetic()).contains("4,096 of a short prompt");
    assertThat(demand(two, "staging").arithmetic()).contains("1,310,720 prompt tokens");
    EngineSizes small = Planner.plan(request(TINY, 2048, 4, 1, gib(4, 4, 0))).requireSizes();
    assertThat(small.shortPrompt()).isEqualTo(512);
  }

  private static Demand demand(Plan plan, String item) {
    return plan.demands().stream().filter(d -> d.item().equals(item)).findFirst().orElseThrow();
  }

  @Test
  void aVolumeThatIsNotNeededIsMentioned() {
    Plan plan = Planner.plan(request(TINY, 8192, 1, 0.0625, gib(1, 1, 10)));
    assertThat(plan.warnings()).anyMatch(w -> w.contains("nothing is written"));
    assertThat(plan.requireSizes().nvmeExtents()).isZero();
  }

  @Test
  void aWindowThatBarelyHoldsTheSelectionIsMentioned() {
    Plan roomy = Planner.plan(request(TINY, 16_384, 1, 0.0625, gib(1, 1, 0)));
    long minimum =
        roomy.demand(Tier.GPU)
            - (long) (roomy.requireSizes().windowSlots() - roomy.requireSizes().maxSelected())
                * 12
                * (roomy.requireSizes().layout().resident().bytes() + 8);
    Plan tight =
        Planner.plan(
            request(TINY, 16_384, 1, 0.0625, new TierBudgets(minimum + 4096, ByteSize.GIB, 0)));
    assertThat(tight.feasible()).as(tight.verdict()).isTrue();
    assertThat(tight.warnings()).anyMatch(w -> w.contains("fetched again"));
  }

  @Test
  void aShortSequenceAttendsEverythingWhereThatIsFasterThanChoosing() {
    PlanRequest request = request(TINY, 32_768, 2, 0.0156, gib(1, 1, 0));
    EngineSizes sizes = Planner.plan(request).requireSizes();
    int dense = sizes.layout().grid().closedChunks(DeviceKind.CUDA.denseTokens());
    assertThat(sizes.denseChunks()).isEqualTo(dense);
    assertThat(sizes.denseBelow()).isBetween(8192, 8192 + 7);
    assertThat(sizes.selectCount(dense)).isEqualTo(dense);
    assertThat(sizes.selectCount(dense + 1)).isEqualTo((int) Math.ceil(0.0156 * (dense + 1)));
    assertThat(sizes.selectCount(0.01, dense)).isEqualTo(dense);
    assertThat(sizes.mostSelected()).isEqualTo(dense);
    assertThat(sizes.windowSlots()).isGreaterThanOrEqualTo(sizes.passChunks());
    assertThat(sizes.passChunks()).as("one pass").isEqualTo(dense);
    assertThat(
            Planner.plan(request.attending(a -> a.withDenseBelow(0))).requireSizes().denseChunks())
        .isZero();
    EngineSizes exact = Planner.plan(request(TINY, 32_768, 2, 1, gib(1, 1, 0))).requireSizes();
    assertThat(exact.denseChunks()).isZero();
  }

  @Test
  void whereWindowsHaveLessRoomOnlyShorterSequencesAttendEverything() {
    PlanRequest roomy = request(TINY, 32_768, 2, 0.0156, gib(1, 1, 0));
    Plan whole = Planner.plan(roomy);
    long slots = 24L * 300 * (whole.requireSizes().layout().resident().bytes() + 12);
    long gpu = whole.demand(Tier.GPU) - windowBytes(whole) + slots;
    PlanRequest tight = roomy.withTiers(new TierBudgets(gpu, ByteSize.GIB, 0));
    EngineSizes sizes = Planner.plan(tight).requireSizes();
    assertThat(sizes.denseChunks()).isBetween(250, 350).isLessThanOrEqualTo(sizes.windowSlots());
    assertThat(Planner.plan(tight).warnings())
        .filteredOn(w -> w.contains("dense below " + sizes.denseBelow()))
        .singleElement()
        .asString()
        .contains("%,d tokens attend everything".formatted(sizes.denseBelow()))
        .contains("8,195 would be faster", " of GPU memory would be enough");
    assertThat(Planner.plan(roomy).warnings()).noneMatch(w -> w.contains("dense below"));
    assertThat(Planner.plan(tight.attending(a -> a.withDenseBelow(sizes.denseBelow()))).warnings())
        .as("asked for")
        .noneMatch(w -> w.contains("dense below"));
    // NVMe is not used for their sake, and no more than a 16th of DRAM.
    Plan none = Planner.plan(roomy.attending(a -> a.withDenseBelow(0)));
    long dram = none.demand(Tier.DRAM);
    EngineSizes justDram =
        Planner.plan(roomy.withTiers(new TierBudgets(ByteSize.GIB, dram, 10 * ByteSize.GIB)))
            .requireSizes();
    assertThat(justDram.nvmeExtents()).isZero();
  }

  private static long windowBytes(Plan plan) {
    return demand(plan, "window").bytes() + demand(plan, "maps").bytes();
  }

  @Test
  void aLengthThatWasAskedForIsKeptOrRefusedWithTheWayOut() {
    PlanRequest roomy = request(TINY, 32_768, 2, 0.0156, gib(2, 1, 0));
    assertThat(
            Planner.plan(roomy.attending(a -> a.withDenseBelow(100_000)))
                .requireSizes()
                .denseBelow())
        .isEqualTo(32_768);
    long gpu = ByteSize.GIB / 14 + demand(Planner.plan(roomy), Demand.DEVICE).bytes();
    PlanRequest tight =
        roomy
            .withTiers(new TierBudgets(gpu, ByteSize.GIB, 0))
            .attending(a -> a.withDenseBelow(16_384));
    Plan refused = Planner.plan(tight);
    assertThat(refused.feasible()).isFalse();
    assertThat(refused.verdict()).contains("GPU memory").contains("dense below");
    Alternative less =
        refused.alternatives().stream()
            .filter(a -> a.text().contains("dense below"))
            .findFirst()
            .orElseThrow();
    assertThat(less.request().attention().denseBelow()).isBetween(1, 16_383);
    assertThat(Planner.plan(less.request()).feasible()).isTrue();
    assertThatThrownBy(() -> tight.attending(a -> a.withDenseBelow(-1)))
        .hasMessageContaining("got -1");
  }

  @Property(tries = 200)
  void shortSequencesNeverMakeAFitFail(@ForAll("requests") PlanRequest request) {
    Plan plan = Planner.plan(request);
    Plan none = Planner.plan(request.attending(a -> a.withDenseBelow(0)));
    assertThat(plan.feasible()).isEqualTo(none.feasible());
    if (plan.feasible()) {
      EngineSizes sizes = plan.requireSizes();
      assertThat(sizes.windowSlots()).isGreaterThanOrEqualTo(sizes.denseChunks());
      assertThat(sizes.nvmeExtents() == 0).isEqualTo(none.requireSizes().nvmeExtents() == 0);
      plan.warnings().stream()
          .filter(w -> w.contains("(dense below "))
          .forEach(w -> theRoomItNamesIsEnough(request, w));
      // What was planned can be asked for by its number: that is how a pod gets it.
      assertThat(
              Planner.plan(request.attending(a -> a.withDenseBelow(sizes.denseBelow())))
                  .requireSizes())
          .isEqualTo(sizes);
    }
  }

  /** What a warning names as enough is: nothing is shortened with it. */
  private static void theRoomItNamesIsEnough(PlanRequest request, String warning) {
    Matcher named = Pattern.compile("(\\d+)Mi of (GPU memory|DRAM|NVMe)").matcher(warning);
    TierBudgets tiers = request.tiers();
    boolean any = false;
    while (named.find()) {
      any = true;
      long bytes = Long.parseLong(named.group(1)) * ByteSize.MIB;
      tiers =
          switch (named.group(2)) {
            case "GPU memory" -> tiers.withGpu(bytes);
            case "DRAM" -> like(tiers, bytes, tiers.nvme());
            default -> like(tiers, tiers.dram(), bytes);
          };
    }
    if (any) {
      assertThat(Planner.plan(request.withTiers(tiers)).warnings())
          .as(warning)
          .noneMatch(w -> w.contains("(dense below "));
    }
  }

  private static TierBudgets like(TierBudgets tiers, long dram, long nvme) {
    return new TierBudgets(
        tiers.gpu(), dram, nvme, tiers.nvmeWritesPerDay(), tiers.nvmeEncryption());
  }

  @Provide
  Arbitrary<PlanRequest> requests() {
    Arbitrary<ModelGeometry> models =
        Combinators.combine(
                Arbitraries.integers().between(1, 80),
                Arbitraries.of(Tuple.of(4, 1), Tuple.of(9, 3), Tuple.of(32, 8), Tuple.of(64, 64)),
                Arbitraries.of(64, 96, 128),
                Arbitraries.integers().between(128, 1_048_576))
            .as(
                (layers, heads, headDim, context) ->
                    new ModelGeometry(
                        "random",
                        new ModelShape(
                            layers,
                            heads.get1() * headDim,
                            heads.get1(),
                            heads.get2(),
                            headDim,
                            4 * heads.get1() * headDim,
                            32_000),
                        context,
                        1_000_000L * layers));
    Arbitrary<TierBudgets> tiers =
        Combinators.combine(
                Arbitraries.longs().between(0, 200L << 30),
                Arbitraries.longs().between(0, 500L << 30),
                Arbitraries.longs().between(0, 4000L << 30),
                Arbitraries.of(NvmeEncryption.values()))
            .as(
                (gpu, dram, nvme, encryption) ->
                    new TierBudgets(
                        gpu, dram, nvme, 0, nvme == 0 ? NvmeEncryption.NONE : encryption));
    return Combinators.combine(
            models,
            Arbitraries.integers().between(128, 1_048_576),
            Arbitraries.integers().between(1, 64),
            Arbitraries.of(0.0156, 0.0625, 0.5, 1.0),
            Arbitraries.of(KvType.values()),
            tiers,
            Arbitraries.of(DeviceKind.values()))
        .as((m, c, n, b, k, t, d) -> PlanRequest.of(m, new Load(c, n, 8), b, k, t, d));
  }

  @Property(tries = 400)
  void aPlanThatFitsStaysWithinEveryBudget(@ForAll("requests") PlanRequest request) {
    Plan plan = Planner.plan(request);
    if (!plan.feasible()) {
      return;
    }
    EngineSizes sizes = plan.requireSizes();
    assertThat(plan.demand(Tier.GPU)).isLessThanOrEqualTo(request.tiers().gpu());
    assertThat(plan.demand(Tier.DRAM)).isLessThanOrEqualTo(request.tiers().dram());
    assertThat(plan.demand(Tier.NVME)).isLessThanOrEqualTo(request.tiers().nvme());
    assertThat(sizes.windowSlots()).isGreaterThanOrEqualTo(sizes.passChunks());
    assertThat(sizes.dramFrames())
        .isGreaterThanOrEqualTo(
            Workspace.minimumFrames(sizes.layout(), sizes.concurrency(), sizes.prefillBlock()));
    long needed =
        (long) sizes.concurrency()
            * sizes.layout().layers()
            * sizes.layout().kvHeads()
            * sizes.layout().extents(sizes.maxChunks());
    assertThat(sizes.dramFrames() + sizes.nvmeExtents()).isGreaterThanOrEqualTo(needed);
    assertThat(sizes.nvmeExtents()).isGreaterThanOrEqualTo(sizes.leastNvmeExtents());
  }

  @Property(tries = 100)
  void aPlanThatFitsStartsOnEveryFilesystem(@ForAll("requests") PlanRequest request) {
    Plan plan = Planner.plan(request);
    List<Plan> fitting = new ArrayList<>();
    if (plan.feasible()) {
      fitting.add(plan);
    }
    plan.alternatives().forEach(a -> fitting.add(Planner.plan(a.request())));
    for (Plan fits : fitting) {
      EngineSizes sizes = fits.requireSizes();
      long least = sizes.leastNvmeExtents() * sizes.layout().extentBytes();
      long volume = fits.requirePod().volumeBytes();
      assertThat(VolumeSpace.usable(volume)).isGreaterThanOrEqualTo(least);
      for (MeasuredVolume measured : MeasuredVolume.values()) {
        measured
            .between(volume)
            .ifPresent(
                left ->
                    assertThat(left)
                        .as("bytes of %d on a filesystem like %s", volume, measured)
                        .isGreaterThanOrEqualTo(least));
      }
    }
  }

  @Property(tries = 200)
  void whatFitsDramIsPlannedAsIfThereWereNoNvme(@ForAll("requests") PlanRequest request) {
    TierBudgets tiers = request.tiers();
    Plan without = Planner.plan(request.withTiers(new TierBudgets(tiers.gpu(), tiers.dram(), 0)));
    Plan plan = Planner.plan(request);
    if (without.feasible()) {
      assertThat(plan.requireSizes()).isEqualTo(without.requireSizes());
      assertThat(plan.requireSizes().nvmeExtents()).isZero();
      assertThat(plan.demand(Tier.NVME)).isZero();
      assertThat(plan.warnings().stream())
          .as("a volume that can be left out")
          .filteredOn(w -> w.contains("nothing is written to the NVMe volume"))
          .hasSize(tiers.nvme() == 0 ? 0 : 1);
    } else if (plan.feasible()) {
      assertThat(plan.requireSizes().leastNvmeExtents()).isPositive();
    }
  }

  @Test
  void whatMayBeWrittenADayMustDoForOneSequence() {
    TierBudgets unlimited = gib(1, 0.05, 1);
    PlanRequest request = request(TINY, 32_768, 2, 0.0156, unlimited);
    EngineSizes sizes = Planner.plan(request).requireSizes();
    long alone = sizes.leavingDram(32_768) * sizes.layout().extentBytes();
    assertThat(alone).isPositive();

    Plan enough = Planner.plan(request.withTiers(writing(unlimited, alone)));
    assertThat(enough.requireSizes()).isEqualTo(sizes);
    assertThat(enough.warnings()).anyMatch(w -> w.contains("after 1 of them"));
    assertThat(Planner.plan(request.withTiers(writing(unlimited, 24 * alone))).warnings())
        .noneMatch(w -> w.contains("a day"));

    Plan tooLittle = Planner.plan(request.withTiers(writing(unlimited, alone - 1)));
    assertThat(tooLittle.shortfalls()).singleElement().asString().startsWith("NVMe writes: ");
    assertThat(tooLittle.alternatives())
        .isNotEmpty()
        .allMatch(other -> Planner.plan(other.request()).feasible());

    assertThatThrownBy(() -> writing(gib(1, 1, 0), 1)).hasMessageContaining("leave the limit out");
    // Where nothing goes to NVMe nothing is asked.
    assertThat(Planner.plan(request.withTiers(writing(gib(1, 1, 1), 1))).feasible()).isTrue();
  }

  @Test
  void keysOfExtentsTakeTheirBytesOfDramAndOfNothingElse() {
    PlanRequest request = request(LLAMA_8B, 131_072, 8, 0.0156, gib(40, 16, 400));
    PlanRequest encrypted =
        request.withTiers(request.tiers().withNvmeEncryption(NvmeEncryption.AES_GCM));
    EngineSizes plain = Planner.plan(request).requireSizes();
    Plan plan = Planner.plan(encrypted);
    EngineSizes sizes = plan.requireSizes();

    assertThat(plain.nvmeEncryption()).isEqualTo(NvmeEncryption.NONE);
    assertThat(sizes.nvmeEncryption()).isEqualTo(NvmeEncryption.AES_GCM);
    assertThat(plan.demands()).anyMatch(demand -> demand.item().equals("keys"));
    assertThat(Planner.plan(request).demands()).noneMatch(demand -> demand.item().equals("keys"));
    // A key of 32 bytes and a tag of 16 for each extent, in whole pages.
    long extents = 8L * 32 * 8 * sizes.layout().extents(sizes.maxChunks());
    long keys = Math.ceilDiv(48 * extents, 4096) * 4096;
    assertThat(
            plan.demands().stream()
                .filter(demand -> demand.item().equals("keys"))
                .mapToLong(Demand::bytes))
        .containsExactly(keys);
    assertThat((plain.dramFrames() - sizes.dramFrames()) * (long) sizes.layout().extentBytes())
        .isBetween(keys - sizes.layout().extentBytes(), keys + sizes.layout().extentBytes());
    assertThat(sizes.windowSlots()).isEqualTo(plain.windowSlots());
    assertThat(sizes.nvmeExtents()).isEqualTo(plain.nvmeExtents());
    assertThat(plan.demand(Tier.DRAM)).isLessThanOrEqualTo(encrypted.tiers().dram());

    assertThatThrownBy(() -> gib(1, 1, 0).withNvmeEncryption(NvmeEncryption.AES_GCM))
        .hasMessageContaining("leave the encryption out");
  }

  @Test
  void anIndexOfFewerBitsIsProposedWhereItFits() {
    IndexShape usual = IndexShape.parse("planes-128+clusters-128");
    PlanRequest request =
        request(LLAMA_8B, 60_000, 2, 0.0156, gib(24, 64, 0))
            .attending(a -> a.withPolicy(a.policy().withIndex(usual)));
    long enough = leastGpu(request);
    PlanRequest less =
        request.withTiers(new TierBudgets(enough - ByteSize.MIB, 64 * ByteSize.GIB, 0));

    Alternative smaller =
        Planner.plan(less).alternatives().stream()
            .filter(a -> a.text().startsWith("the index "))
            .findFirst()
            .orElseThrow();
    assertThat(smaller.text())
        .isEqualTo(
            "the index planes-96+clusters-128, which chooses less well than planes-128+clusters-128");
    assertThat(smaller.request().attention().policy().index())
        .isEqualTo(IndexShape.parse("planes-96+clusters-128"));
    assertThat(Planner.plan(smaller.request()).feasible()).isTrue();

    // 64 bits are the fewest, and an index that is not fitted has none to give up.
    PlanRequest little =
        less.attending(
            a -> a.withPolicy(a.policy().withIndex(IndexShape.parse("planes-64+clusters-128"))));
    assertThat(Planner.plan(little.withTiers(new TierBudgets(ByteSize.GIB, 1, 0))).alternatives())
        .noneMatch(a -> a.text().startsWith("the index "));
    assertThat(
            Planner.plan(
                    less.attending(a -> a.withPolicy(PolicyShape.KVDRIVE))
                        .withTiers(new TierBudgets(ByteSize.GIB, 64 * ByteSize.GIB, 0)))
                .alternatives())
        .noneMatch(a -> a.text().startsWith("the index "));
  }

  /** GPU memory without which a request does not fit. */
  private static long leastGpu(PlanRequest request) {
    long low = 0;
    long high = 1L << 45;
    while (high - low > 1) {
      long middle = (low + high) / 2;
      TierBudgets tiers = request.tiers();
      boolean fits =
          Planner.plan(request.withTiers(new TierBudgets(middle, tiers.dram(), tiers.nvme())))
              .feasible();
      low = fits ? low : middle;
      high = fits ? middle : high;
    }
    return high;
  }

  private static TierBudgets writing(TierBudgets tiers, long perDay) {
    return new TierBudgets(tiers.gpu(), tiers.dram(), tiers.nvme(), perDay, tiers.nvmeEncryption());
  }

  /** Sizes from the smallest to the largest there can be, each order of magnitude as likely. */
  @Provide
  Arbitrary<PlanRequest> extremes() {
    Arbitrary<ModelGeometry> models =
        Combinators.combine(
                upTo(ModelGeometry.MAX_LAYERS),
                upTo(ModelGeometry.MAX_HIDDEN),
                upTo(ModelGeometry.MAX_HEADS),
                upTo(ModelGeometry.MAX_HEAD_DIM),
                upTo(ModelGeometry.MAX_FEED_FORWARD),
                upTo(ModelGeometry.MAX_VOCABULARY),
                upTo(ModelGeometry.MAX_CONTEXT),
                Arbitraries.longs().between(0, ModelGeometry.MAX_WEIGHT_BYTES))
            .as(
                (layers, hidden, heads, headDim, feedForward, vocabulary, context, weights) ->
                    new ModelGeometry(
                        "extreme",
                        new ModelShape(
                            layers,
                            hidden,
                            heads,
                            heads % 2 == 0 ? heads / 2 : heads,
                            headDim,
                            feedForward,
                            vocabulary),
                        context,
                        weights));
    Arbitrary<TierBudgets> tiers =
        Combinators.combine(
                Arbitraries.longs().between(0, 1L << 61),
                Arbitraries.longs().between(0, 1L << 61),
                Arbitraries.longs().between(0, 1L << 61))
            .as(TierBudgets::new);
    return Combinators.combine(
            models,
            upTo(ModelGeometry.MAX_CONTEXT).map(n -> Math.max(n, Load.MIN_CONTEXT)),
            upTo(Load.MAX_CONCURRENCY),
            Arbitraries.of(1e-9, 0.0625, 1.0),
            Arbitraries.of(KvType.values()),
            tiers,
            Arbitraries.of(DeviceKind.values()))
        .as(PlannerTest::requestIfSane);
  }

  private static Arbitrary<Integer> upTo(int most) {
    int bits = 31 - Integer.numberOfLeadingZeros(most);
    return Combinators.combine(
            Arbitraries.integers().between(0, bits), Arbitraries.integers().between(0, 1 << 20))
        .as((bit, more) -> Math.min(most, (1 << bit) + (int) (((1L << bit) * more) >>> 20)));
  }

  /** The request, or a small one if this one is refused as absurd. */
  private static PlanRequest requestIfSane(
      ModelGeometry model,
      int context,
      int concurrency,
      double budget,
      KvType type,
      TierBudgets tiers,
      DeviceKind device) {
    try {
      return PlanRequest.of(model, new Load(context, concurrency, 8), budget, type, tiers, device);
    } catch (IllegalArgumentException e) {
      assertThat(e).hasMessageContaining("bytes of KV cache; a plan is possible up to 1 EiB");
      return PlanRequest.of(TINY, new Load(Load.MIN_CONTEXT, 1, 8), budget, type, tiers, device);
    }
  }

  @Property(tries = 1000)
  void noSizeOverflows(@ForAll("extremes") PlanRequest request) {
    Plan plan = Planner.plan(request);
    assertThat(plan.demands()).allMatch(d -> d.bytes() >= 0 && d.bytes() < 1L << 62);
    if (plan.feasible()) {
      assertThat(plan.demand(Tier.GPU)).isBetween(0L, request.tiers().gpu());
      assertThat(plan.demand(Tier.DRAM)).isBetween(0L, request.tiers().dram());
      assertThat(plan.demand(Tier.NVME)).isBetween(0L, request.tiers().nvme());
      assertThat(plan.requireSizes().mailboxCapacity()).isPositive();
      assertThat(plan.requirePod().memoryBytes()).isPositive();
    } else {
      assertThat(plan.verdict()).contains("does not fit");
    }
  }

  @Test
  void absurdSizesAreRefusedWithTheirName() {
    assertThatThrownBy(
            () -> new ModelGeometry("m", new ModelShape(2_000_000_000, 1, 1, 1, 1, 1, 1), 1, 0))
        .hasMessage("model m has 2,000,000,000 layers; a plan is possible for 1 to 4,096");
    assertThatThrownBy(() -> new ModelGeometry("m", new ModelShape(1, 1, 1, 1, 1, 1, 1), 0, 0))
        .hasMessageContaining("0 maxContext");
    ModelGeometry huge =
        new ModelGeometry(
            "m", new ModelShape(4096, 1 << 17, 4096, 4096, 4096, 1 << 20, 1 << 22), 1 << 26, 0);
    assertThatThrownBy(() -> request(huge, 1 << 26, 1024, 1, gib(1, 1, 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("bytes of KV cache; a plan is possible up to 1 EiB");
  }

  @Property(tries = 400)
  void everyAlternativeReallyFits(@ForAll("requests") PlanRequest request) {
    for (Alternative alternative : Planner.plan(request).alternatives()) {
      Plan plan = Planner.plan(alternative.request());
      assertThat(plan.feasible()).as(alternative.text() + ": " + plan.verdict()).isTrue();
    }
  }

  @Property(tries = 200)
  void moreOfATierNeverMakesAFitFail(@ForAll("requests") PlanRequest request) {
    if (!Planner.plan(request).feasible()) {
      return;
    }
    TierBudgets t = request.tiers();
    for (TierBudgets more :
        new TierBudgets[] {
          t.withGpu(2 * t.gpu()),
          like(t, 2 * t.dram(), t.nvme()),
          like(t, t.dram(), 2 * t.nvme() + ByteSize.GIB)
        }) {
      assertThat(Planner.plan(request.withTiers(more)).feasible()).isTrue();
    }
  }

  @Test
  void whatWindowsNoteOfReuseAndOfPrefetchIsCounted() {
    PlanRequest plain = request(LLAMA_8B, 60_000, 2, 0.0156, gib(24, 64, 0));
    Plan before = Planner.plan(plain);
    WindowOptions noting = new WindowOptions(WindowOptions.Division.BY_REUSE, 16, true);
    Plan after = Planner.plan(plain.attending(a -> a.withWindows(noting)));

    long heads = 2L * 32 * 8;
    assertThat(after.demands())
        .anySatisfy(
            demand -> {
              assertThat(demand.item()).isEqualTo("reuse");
              assertThat(demand.bytes()).isEqualTo(heads * 4 * (7491 + 24));
            });
    assertThat(before.demands()).noneMatch(demand -> demand.item().equals("reuse"));
    // It is taken from the windows: the budget stays what it is.
    assertThat(after.requireSizes().windowSlots()).isLessThan(before.requireSizes().windowSlots());
    assertThat(after.demand(Demand.Tier.GPU)).isLessThanOrEqualTo(plain.tiers().gpu());
    assertThat(after.requireSizes().windows()).isEqualTo(noting);
    // A step that attends everything teaches nothing.
    Plan exact =
        Planner.plan(
            request(LLAMA_8B, 8_000, 1, 1, gib(40, 64, 0)).attending(a -> a.withWindows(noting)));
    assertThat(exact.demands()).noneMatch(demand -> demand.item().equals("reuse"));
  }
}
