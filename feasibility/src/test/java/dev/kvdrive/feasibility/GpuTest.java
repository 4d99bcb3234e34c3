package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a class says of GPUs, and what is known of the cards. */
class GpuTest {
  private static final Assessor ASSESSOR =
      new Assessor(
          GeometryCatalogue.wellKnown(),
          new OperatorDefaults("image", PullPolicy.IF_NOT_PRESENT, List.of(), null, Set.of()));

  /** As GPU feature discovery labels them. */
  private static final GpuNode H100 =
      node("h100", "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory", "81559");

  private static final GpuNode A10 = node("a10", "NVIDIA-A10", "nvidia.com/gpu.memory", "23028");

  private static final GpuNode SLICED =
      node("mig", "NVIDIA-A100-SXM4-40GB", "nvidia.com/mig-3g.20gb.memory", "20096");

  @ParameterizedTest
  @CsvSource({
    "'{device: CUDA}', operators/cuda",
    "'{device: CPU}', operators/cpu",
    "'{}', operators/cpu",
    "'{device: CUDA, runtime: {image: classes/image}}', classes/image"
  })
  void aPodWithAGpuGetsTheImageForIt(String clazz, String image) {
    Assessor assessor =
        new Assessor(
            GeometryCatalogue.wellKnown(),
            new OperatorDefaults(
                new RuntimeImages("operators/cpu", "operators/cuda"),
                PullPolicy.IF_NOT_PRESENT,
                List.of(),
                null,
                Set.of(),
                Downloads.UNSAID,
                TraceCollector.UNSAID,
                false));
    InferenceClass governing = WrittenManifests.clazz("cards", clazz);
    Assessment verdict = assessor.assess(deployment("79Gi", ""), governing, List.of());
    assertThat(verdict)
        .isInstanceOfSatisfying(
            Feasible.class, f -> assertThat(f.request().pod().image()).isEqualTo(image));
  }

  @Test
  void aTierThatIsMoreThanTheClassSaysOfACardIsRefusedWithTheArithmetic() {
    Infeasible refused = infeasible("96Gi", "gpu: {memory: 80Gi}", List.of());

    assertThat(refused.reason()).isEqualTo("GpuTooSmall");
    assertThat(refused.message())
        .startsWith(
            "tiers.gpu.memory is 96.0 GiB, but InferenceClass cards says that nvidia.com/gpu has"
                + " 80.0 GiB (gpu.memory): 16.0 GiB too little. With tiers.gpu.memory: 80Gi it fits:")
        .contains("weights 15.0 GiB", "device ", "window ");
    assertThat(feasible("80Gi", "gpu: {memory: 80Gi}", List.of()).plan().feasible()).isTrue();
  }

  @Test
  void whereTheClassSaysNothingTheLabelsOfTheNodesDo() {
    Infeasible refused = infeasible("80Gi", "", List.of(A10, H100));

    assertThat(refused.reason()).isEqualTo("GpuTooSmall");
    assertThat(refused.message())
        .contains(
            "tiers.gpu.memory is 80.0 GiB, but by their label nvidia.com/gpu.memory the largest"
                + " nvidia.com/gpu of the 2 nodes that InferenceClass cards selects,"
                + " NVIDIA-H100-80GB-HBM3, has 79.6 GiB (81,559 MiB): 361 MiB too little. With tiers.gpu.memory: 80384Mi it fits:",
            "If larger cards can be added, the InferenceClass can say how large in gpu.memory.");
    assertThat(feasible("79Gi", "", List.of(H100)).plan().warnings()).isEmpty();
  }

  @Test
  void theClassesWordIsAboveTheLabels() {
    feasible("80Gi", "gpu: {memory: 141Gi}", List.of(A10));
    assertThat(infeasible("40Gi", "gpu: {memory: 24Gi}", List.of(H100)).message())
        .contains("(gpu.memory): 16.0 GiB too little");
  }

  @Test
  void nobodyKnowsMoreThanNobody() {
    feasible("500Gi", "", List.of());
    feasible("500Gi", "", List.of(node("odd", "NVIDIA-X", "nvidia.com/gpu.memory", "0")));
    feasible("500Gi", "", List.of(node("odd", "NVIDIA-X", "nvidia.com/gpu.memory", "much")));
    // Which devices a claim gets, its template decides.
    feasible("500Gi", "gpu: {claim: {templateName: whole}}", List.of(H100));
  }

  /** A node that the pods cannot go to says nothing about their cards. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          runtime: {nodeSelector: {pool: a10}}                                                  | NVIDIA-A10
          runtime: {nodeAffinity: [{key: pool, operator: NotIn, values: [h100]}]}               | NVIDIA-A10
          runtime: {nodeAffinity: [{key: nvidia.com/gpu.memory, operator: Lt, values: ['40000']}]} | NVIDIA-A10
          runtime: {nodeAffinity: [{key: nvidia.com/gpu.product, operator: In, values: [NVIDIA-A10]}]} | NVIDIA-A10
          gpu: {resourceName: nvidia.com/mig-3g.20gb}                                           | NVIDIA-A100-SXM4-40GB
          """)
  void onlyNodesThatTheClassSelectsCount(String clazz, String product) {
    Infeasible refused = infeasible("30Gi", clazz, List.of(H100, A10, SLICED));

    assertThat(refused.reason()).isEqualTo("GpuTooSmall");
    assertThat(refused.message()).contains("of the 1 node that", product);
  }

  @Test
  void whatTheDeploymentSelectsCountsToo() {
    String only = "runtime: {nodeAffinity: [{key: pool, operator: In, values: [a10]}]}";

    Infeasible refused =
        (Infeasible) assess(deployment("30Gi", only), clazz(""), List.of(H100, A10));

    assertThat(refused.message()).contains("NVIDIA-A10");
  }

  @Test
  void aSharedCardIsLabelledAsTheCard() {
    Infeasible refused =
        infeasible("100Gi", "gpu: {resourceName: nvidia.com/gpu.shared}", List.of(H100));

    assertThat(refused.message()).contains("their label nvidia.com/gpu.memory the largest");
  }

  @Test
  void smallerCardsAmongTheNodesAreAWarning() {
    assertThat(feasible("40Gi", "", List.of(H100, A10)).plan().warnings())
        .singleElement()
        .asString()
        .contains("on 1 of 2 nodes", "matchMemory: true");
  }

  /** What would fit by the plan alone, but no card has, is no way out. */
  @Test
  void alternativesThatNoCardHoldsAreLeftOut() {
    Infeasible without = (Infeasible) assess(deployment("8Gi", ""), clazz(""), List.of());
    Infeasible within = infeasible("8Gi", "gpu: {memory: 10Gi}", List.of());

    assertThat(Objects.requireNonNull(without.plan()).alternatives())
        .anyMatch(a -> a.request().tiers().gpu() > 10L << 30);
    assertThat(within.reason()).isEqualTo("DoesNotFit");
    assertThat(Objects.requireNonNull(within.plan()).alternatives())
        .noneMatch(a -> a.request().tiers().gpu() > 10L << 30);
    assertThat(within.message()).contains("says that nvidia.com/gpu has 10.0 GiB");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          device: CPU,  gpu: {count: 1}                                             | gpu is of device CUDA
          device: CUDA, gpu: {resourceName: nvidia.com/gpu, claim: {templateName: t}} | claim takes the place of
          device: CUDA, gpu: {count: 2}                                             | a pod computes on one GPU
          device: CUDA, gpu: {resourceName: nvidia.com/mig-1g.5gb, count: 2}        | a pod computes on one GPU
          device: CUDA, gpu: {claim: {templateName: t}, matchMemory: true}          | matchMemory goes by the label
          device: CUDA, gpu: {resourceName: example.com/gpu, matchMemory: true}     | matchMemory goes by the label
          """)
  void aClassThatCannotBeIsRefusedWhereNoApiServerHasSeenIt(String spec, String words) {
    InferenceClass clazz =
        WrittenManifests.clazz("cards", String.join("\n", spec.split(", +(?=gpu)")));

    assertThat(assess(deployment("24Gi", ""), clazz, List.of()))
        .isInstanceOfSatisfying(
            Infeasible.class,
            refused -> {
              assertThat(refused.reason()).isEqualTo("ClassInvalid");
              assertThat(refused.message()).contains(words);
            });
  }

  @Test
  void anAffinityWithoutItsValuesIsRefused() {
    String odd = "runtime: {nodeAffinity: [{key: pool, operator: Gt, values: [a]}]}";

    assertThat(assess(deployment("24Gi", odd), clazz(""), List.of()))
        .isInstanceOfSatisfying(
            Infeasible.class,
            refused ->
                assertThat(refused.message())
                    .contains("spec.runtime.nodeAffinity: pool Gt: In and NotIn need values"));
  }

  /** A pod more is a GPU more, so who says nothing does without. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      nullValues = "-",
      textBlock =
          """
          CUDA | -       | -        | 0
          CUDA | -       | Surge    | 1
          CUDA | 2       | -        | 2
          CUDA | 2       | Surge    | 2
          CUDA | 2       | InPlace  | 0
          CUDA | -       | WhenIdle | 0
          CPU  | -       | -        | 1
          CPU  | -       | InPlace  | 0
          CPU  | 0       | -        | 0
          CPU  | -       | WhenIdle | 1
          """)
  void howManyPodsMoreARolloutHas(
      String device, @Nullable Integer classes, @Nullable String rollout, int surge) {
    InferenceClass clazz =
        WrittenManifests.clazz(
            "cards",
            "device: %s\n%s"
                .formatted(device, classes == null ? "" : "runtime: {maxSurge: " + classes + "}"));
    InferenceDeployment deployment =
        deployment("24Gi", rollout == null ? "" : "runtime: {rollout: " + rollout + "}");

    Request request = ((Feasible) assess(deployment, clazz, List.of())).request();

    assertThat(request.pod().maxSurge()).isEqualTo(surge);
    assertThat(request.pod().idleTimeoutSeconds())
        .isEqualTo("WhenIdle".equals(rollout) ? Integer.valueOf(3600) : null);
  }

  @Test
  void aClassWithoutAPodMoreAllowsNoSurge() {
    InferenceClass clazz = WrittenManifests.clazz("cards", "device: CUDA\nruntime: {maxSurge: 0}");

    assertThat(assess(deployment("24Gi", "runtime: {rollout: Surge}"), clazz, List.of()))
        .isInstanceOfSatisfying(
            Infeasible.class,
            refused -> {
              assertThat(refused.reason()).isEqualTo("NotAllowed");
              assertThat(refused.message()).contains("Write InPlace or WhenIdle");
            });
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          runtime: {topologySpread: [{topologyKey: rack}]}                          | runtime.topologySpread has rack; InferenceClass cards allows zone
          runtime: {nodeAffinity: [{key: pool, operator: Exists}]}                  | runtime.nodeAffinity has pool; InferenceClass cards allows zone
          """)
  void aClassSaysWhatPodsMaySpreadByAndGoTo(String runtime, String words) {
    InferenceClass clazz =
        WrittenManifests.clazz(
            "cards",
            """
            device: CUDA
            runtime: {topologySpread: [{topologyKey: host}]}
            pods: {allowedTopologyKeys: [zone], allowedNodeSelectorKeys: [zone]}
            """);

    assertThat(assess(deployment("24Gi", runtime), clazz, List.of()))
        .isInstanceOfSatisfying(
            Infeasible.class,
            refused -> {
              assertThat(refused.reason()).isEqualTo("NotAllowed");
              assertThat(refused.message()).contains(words);
            });
    assertThat(
            ((Feasible) assess(deployment("24Gi", ""), clazz, List.of()))
                .request()
                .pod()
                .topologySpread())
        .singleElement()
        .satisfies(spread -> assertThat(spread.topologyKey()).isEqualTo("host"));
  }

  private static GpuNode node(String pool, String product, String label, String mebibytes) {
    Map<String, String> labels = new TreeMap<>();
    labels.put("pool", pool);
    labels.put("nvidia.com/gpu.product", product);
    labels.put(label, mebibytes);
    return new GpuNode(pool + "-1", labels);
  }

  private static InferenceClass clazz(String more) {
    return WrittenManifests.clazz("cards", "device: CUDA\n" + more);
  }

  private static InferenceDeployment deployment(String gpu, String more) {
    return WrittenManifests.written(
        "endpoint",
        "legal",
        """
        className: cards
        model: {uri: "hf://gradientai/Llama-3-8B-Instruct-Gradient-1048k"}
        contextLength: 131072
        tiers:
          gpu: {memory: %s}
          dram: {size: 32Gi}
        """
                .formatted(gpu)
            + more);
  }

  private static Assessment assess(
      InferenceDeployment deployment, InferenceClass clazz, List<GpuNode> nodes) {
    return ASSESSOR.assess(deployment, clazz, List.of(), List.of(clazz), Map.of(), nodes);
  }

  private static Feasible feasible(String gpu, String clazz, List<GpuNode> nodes) {
    Assessment verdict = assess(deployment(gpu, ""), clazz(clazz), nodes);
    assertThat(verdict).isInstanceOf(Feasible.class);
    return (Feasible) verdict;
  }

  private static Infeasible infeasible(String gpu, String clazz, List<GpuNode> nodes) {
    Assessment verdict = assess(deployment(gpu, ""), clazz(clazz), nodes);
    assertThat(verdict).isInstanceOf(Infeasible.class);
    return (Infeasible) verdict;
  }
}
