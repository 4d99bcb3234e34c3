package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.ConfigMapKey;
import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.ModelSpec;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.api.v1alpha1.RopeScaling;
import dev.kvdrive.api.v1alpha1.SecretKey;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.WindowOptions;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AssessorTest {
  private static final String NAMESPACE = "legal";
  private static final Assessor ASSESSOR =
      new Assessor(
          GeometryCatalogue.wellKnown(),
          new OperatorDefaults(
              "operators/image", PullPolicy.IF_NOT_PRESENT, List.of(), 65532L, Set.of("system")));

  private static final Assessor STRICT = assessor(TraceCollector.UNSAID, true);

  @Test
  void completesWhatNobodySaid() {
    Request request = feasible(deployment("endpoint", ""), null).request();

    assertThat(request.servedModelName()).isEqualTo("endpoint");
    assertThat(request.concurrency()).isEqualTo(1);
    assertThat(request.budget()).isEqualTo(Budget.of(0.0625));
    assertThat(request.queueLimit()).isEqualTo(8);
    assertThat(request.device()).isEqualTo(DeviceKind.CPU);
    assertThat(request.pod().image()).isEqualTo("operators/image");
    assertThat(request.storageClassName()).isNull();
  }

  /** The bundled model comes with its calibration, so it gets the better index. */
  @Test
  void theIndexIsTheDeploymentsWordOrWhatTheModelIsKnownToBring() {
    assertThat(index(feasible(deployment("endpoint", ""), null)))
        .isEqualTo("planes-96+clusters-16x4");
    assertThat(index(feasible(deployment("endpoint", "index: planes-128"), null)))
        .isEqualTo("planes-128");
    assertThat(index(feasible(deployment("endpoint", "index: two-bit"), null)))
        .isEqualTo("two-bit");
    assertThat(index(feasible(deployment("endpoint", "index: planes-64"), null)))
        .isEqualTo("planes-64");
    assertThat(index(feasible(deployment("endpoint", "index: two-bit+clusters-64"), null)))
        .isEqualTo("two-bit+clusters-64");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          planes-100  | spec.index: an index has whole words of 32 bits a key, got 100
          planes-9984 | has from 32 to 192 bits a key, in steps of 32; got 9984
          quest       | spec.index: there is no index 'quest'; write two-bit, or planes-64
          """)
  void anIndexThatCannotBeIsRefusedWithWhatCan(String index, String words) {
    Infeasible refused = infeasible(deployment("endpoint", "index: " + index), null);

    assertThat(refused.reason()).isEqualTo("InvalidSpec");
    assertThat(refused.message()).contains(words);
  }

  @Test
  void budgetAutoIsPlannedByItsBound() {
    Feasible auto = feasible(deployment("endpoint", "budget: auto"), null);
    assertThat(auto.request().budget()).isEqualTo(new Budget(0.25, 0.95));
    assertThat(auto.plan().request().attention().budget()).isEqualTo(auto.request().budget());
    assertThat(auto.plan().requireSizes().budget()).isEqualTo(auto.request().budget());
    assertThat(
            feasible(deployment("endpoint", "budget: auto\nquality: 99%\nbudgetBound: 12.5%"), null)
                .request()
                .budget())
        .isEqualTo(new Budget(0.125, 0.99));
    assertThat(feasible(deployment("endpoint", "meter: 0%"), null).request().meter()).isZero();
    assertThat(feasible(deployment("endpoint", ""), null).request().meter()).isNull();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          budget: auto, quality: 0%          | spec.quality: '0%' is not a share above 0%
          quality: 99%                       | spec.quality is of budget auto; write budget: auto
          budget: 100%, budgetBound: 50%     | spec.budgetBound is of budget auto
          budget: auto, policy: quest        | policy quest knows no shares of attention
          """)
  void aQualityThatCannotBeIsRefusedWithTheWayOut(String fields, String words) {
    Infeasible refused = infeasible(deployment("endpoint", fields.replace(", ", "\n")), null);
    assertThat(refused.reason()).isEqualTo("InvalidSpec");
    assertThat(refused.message()).contains(words);
  }

  /** A prefix that a class allows is not left by it. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "pvc://models/public/../private/x.gguf",
        "pvc://models/..",
        "pvc://c/../../x",
        "oci://registry.example.com/public/../private:1"
      })
  void aPathThatLeavesItsVolumeIsRefused(String uri) {
    InferenceDeployment deployment = deployment("endpoint", "");
    deployment.setSpec(WrittenManifests.withModel(deployment.getSpec(), uri));
    Infeasible refused = infeasible(deployment, null);
    assertThat(refused.reason()).isEqualTo("InvalidSpec");
    assertThat(refused.message())
        .contains("spec.model.uri", uri, "a path in a claim or an image has no ..");
  }

  /** A tag may mean any file, unlike a revision; a digest is another name as well. */
  @ParameterizedTest
  @CsvSource({
    "oci://registry.example.com/models/tiny:q8, Feasible",
    "oci://registry.example.com/models/tiny:f32, GeometryUnknown",
    "oci://registry.example.com/models/tiny:q8#other.gguf, GeometryUnknown",
    "oci://registry.example.com/others/tiny:q8, NotAllowed",
  })
  void sizesOfAModelInAnImageAreThoseOfExactlyItsUri(String uri, String verdict) {
    InferenceClass clazz =
        WrittenManifests.clazz(
            "default",
            """
            models:
              allowedPrefixes: ["oci://registry.example.com/models/"]
              catalogue:
                - uri: oci://registry.example.com/models/tiny:q8
                  geometry: {layers: 2, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, \
            feedForward: 128, vocabulary: 1000, maxContext: 65536, weights: 4Mi}
            """);
    InferenceDeployment deployment = deployment("endpoint", "");
    ModelSpec model =
        verdict.equals("NotAllowed")
            ? new ModelSpec(uri, WrittenManifests.geometry(2), null, null, null, null)
            : new ModelSpec(uri, null, null, null, null, null);
    deployment.setSpec(WrittenManifests.withModel(deployment.getSpec(), model));

    if (verdict.equals("Feasible")) {
      assertThat(feasible(deployment, clazz).request().modelImage())
          .contains("registry.example.com/models/tiny:q8");
    } else {
      assertThat(infeasible(deployment, clazz).reason()).isEqualTo(verdict);
    }
  }

  @Test
  void windowsAreDividedAndFilledByTheDeploymentsWord() {
    assertThat(feasible(deployment("endpoint", ""), null).request().windows())
        .isEqualTo(WindowOptions.DEFAULT);
    Feasible asked =
        feasible(
            deployment(
                "endpoint", "windows: {division: BY_REUSE, warmUpTokens: 0, prefetch: true}"),
            null);
    assertThat(asked.request().windows())
        .isEqualTo(new WindowOptions(WindowOptions.Division.BY_REUSE, 0, true))
        .isEqualTo(asked.plan().request().attention().windows());
  }

  @Test
  void chunksHaveTheFormatsOfTheDeploymentsWord() {
    assertThat(feasible(deployment("endpoint", ""), null).request().formats())
        .isEqualTo(new Formats(ChunkFormat.BF16, ChunkFormat.INT8));
    assertThat(feasible(deployment("endpoint", "budget: 100%"), null).request().formats())
        .isEqualTo(Formats.of(KvType.BF16));
    Feasible int8 = feasible(deployment("endpoint", "resident: INT8\nbacking: INT8"), null);
    assertThat(int8.request().formats())
        .isEqualTo(new Formats(ChunkFormat.INT8, ChunkFormat.INT8))
        .isEqualTo(int8.plan().request().attention().formats());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          F32  | INT8 | BF16 | keys and values are BF16: a chunk is BF16 or INT8
          INT8 | BF16 | BF16 | write backing INT8 too, or resident BF16
          F32  | BF16 | F32  | backing BF16, but keys and values are F32: a chunk is F32 or INT8
          """)
  void formatsThatCannotBeAreRefusedWithThoseThatCan(
      String resident, String backing, String type, String words) {
    Infeasible refused =
        infeasible(
            deployment(
                "endpoint",
                "resident: %s\nbacking: %s\nkvType: %s".formatted(resident, backing, type)),
            null);
    assertThat(refused.reason()).isEqualTo("InvalidSpec");
    assertThat(refused.message()).contains("spec.resident, spec.backing: ").contains(words);
  }

  @Test
  void aPolicyIsNamedAndBringsItsIndex() {
    Feasible quest = feasible(deployment("endpoint", "policy: quest"), null);
    assertThat(quest.plan().request().attention().policy().name()).isEqualTo("quest");
    assertThat(quest.request().policy()).isEqualTo("quest");
    assertThat(quest.request().index()).isNull();
    assertThat(feasible(deployment("endpoint", ""), null).request().policy()).isEqualTo("kvdrive");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          best    | two-bit    | spec.policy: there is no policy 'best'; there are kvdrive, kvdrive-recent
          quest   | planes-128 | policy quest has an index of its own; leave the index planes-128 out
          full    |            | policy full attends everything, a budget of 6.25 % leaves something out: write budget 100%
          """)
  void aPolicyThatCannotBeIsRefusedWithTheWayOut(
      String policy, @Nullable String index, String words) {
    String more = "policy: " + policy + (index == null ? "" : "\nindex: " + index);
    Infeasible refused = infeasible(deployment("endpoint", more), null);

    assertThat(refused.reason()).isEqualTo("InvalidSpec");
    assertThat(refused.message()).contains(words);
  }

  private static String index(Feasible feasible) {
    assertThat(feasible.request().index())
        .isEqualTo(feasible.plan().request().attention().policy().index());
    return feasible.plan().request().attention().policy().index().word();
  }

  @Test
  void theClassFillsWhatTheDeploymentLeavesOpenAndHoldsItsNodes() {
    InferenceClass clazz =
        WrittenManifests.clazz(
            "fast",
            """
            runtime: {image: classes/image, cpu: "4", nodeSelector: {pool: inference}}
            storage: {defaultClassName: local-nvme}
            """);

    Request request =
        feasible(
                deployment("endpoint", "className: fast\nruntime: {nodeSelector: {pool: other}}"),
                clazz)
            .request();

    assertThat(request.pod().image()).isEqualTo("classes/image");
    assertThat(request.pod().cpu()).hasToString("4");
    assertThat(request.pod().nodeSelector()).isEqualTo(Map.of("pool", "inference"));
    assertThat(request.storageClassName()).isEqualTo("local-nvme");
  }

  @Test
  void ropeScalingExtendsTheContextThatIsPlanned() {
    String sizes =
        """
        contextLength: 131072
        tiers: {gpu: {memory: 1Gi}, dram: {size: 1Gi}, nvme: {size: 4Gi}}
        """;
    InferenceDeployment deployment = WrittenManifests.deployment("endpoint", NAMESPACE, sizes, "");
    assertThat(infeasible(deployment, null).message()).contains("trained for 32,768 tokens");

    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec(
                deployment.getSpec().model().uri(),
                null,
                null,
                null,
                null,
                new RopeScaling(RopeScaling.Type.YARN, 4.0, null))));
    assertThat(feasible(deployment, null).plan().request().model().maxContext()).isEqualTo(131_072);

    deployment.setSpec(
        WrittenManifests.withModel(
            deployment.getSpec(),
            new ModelSpec(
                deployment.getSpec().model().uri(),
                null,
                null,
                null,
                null,
                new RopeScaling(RopeScaling.Type.YARN, 1.0, null))));
    assertThat(infeasible(deployment, null))
        .satisfies(
            verdict -> {
              assertThat(verdict.reason()).isEqualTo("InvalidSpec");
              assertThat(verdict.message()).contains("spec.model.ropeScaling", "above 1");
            });
  }

  @Test
  void aClassThatIsNotThereIsNamed() {
    Infeasible verdict = infeasible(deployment("endpoint", "className: fast"), null);

    assertThat(verdict.reason()).isEqualTo("ClassNotFound");
    assertThat(verdict.message()).contains("fast");
  }

  @Test
  void aModelOfUnknownSizesIsExplained() {
    InferenceDeployment deployment = deployment("endpoint", "");
    deployment.setSpec(WrittenManifests.withModel(deployment.getSpec(), "hf://nobody/knows"));

    Infeasible verdict = infeasible(deployment, null);

    assertThat(verdict.reason()).isEqualTo("GeometryUnknown");
    assertThat(verdict.message()).contains("hf://nobody/knows").contains("spec.model.geometry");
  }

  @Test
  void whatDoesNotFitCarriesItsArithmeticAndAlternatives() {
    Infeasible verdict = infeasible(deployment("endpoint", "concurrency: 500"), null);

    assertThat(verdict.reason()).isEqualTo("DoesNotFit");
    assertThat(verdict.message()).contains("does not fit").contains("What would fit");
    assertThat(verdict.plan()).isNotNull();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "limits: {contextLength: 8192}              | contextLength is 16,384",
        "limits: {dram: 32Mi}                       | dram",
        "limits: {nvme: 256Mi}                      | nvme",
        "models: {allowedPrefixes: ['hf://acme/']}  | does not allow model builtin:",
        "storage: {allowedClassNames: [fast]}       | does not allow storage class",
        "tenants: [{namespace: finance}]            | not open to namespace legal",
        "tenants: [{namespace: legal, dram: 32Mi}]  | dram tier",
        "tenants: [{namespace: legal, deployments: 0}] | may have 0 deployments",
      })
  void whatTheClassForbidsIsSaid(String rule, String said) {
    Infeasible verdict =
        infeasible(deployment("endpoint", "className: c"), WrittenManifests.clazz("c", rule));

    assertThat(verdict.reason()).isIn("NotAllowed", "QuotaExceeded");
    assertThat(verdict.message()).contains(said);
  }

  private static InferenceDeployment onNvme(String className, String nvme) {
    return WrittenManifests.deployment(
        "endpoint",
        NAMESPACE,
        """
        contextLength: 16384
        tiers:
          gpu: {memory: 64Mi}
          dram: {size: 24Mi}
          nvme: {size: 512Mi%s}
        """
            .formatted(nvme),
        className);
  }

  @Test
  void whatMayBeWrittenADayIsTheDeploymentsWordWithinTheClasssAndElseTheClasss() {
    InferenceClass clazz = WrittenManifests.clazz("c", "storage: {writesPerDay: 10Gi}");
    String ofClass = "className: c";
    Feasible said = feasible(onNvme(ofClass, ", writesPerDay: 2Gi"), clazz);
    assertThat(said.request().tiers().nvmeWritesPerDay()).isEqualTo(2L << 30);
    assertThat(said.plan().request().tiers()).isEqualTo(said.request().tiers());
    assertThat(feasible(onNvme(ofClass, ""), clazz).request().tiers().nvmeWritesPerDay())
        .isEqualTo(10L << 30);
    assertThat(feasible(onNvme("", ""), null).request().tiers().nvmeWritesPerDay()).isZero();
    Infeasible tooMuch = infeasible(onNvme(ofClass, ", writesPerDay: 20Gi"), clazz);
    assertThat(tooMuch.reason()).isEqualTo("NotAllowed");
    assertThat(tooMuch.message())
        .contains("tiers.nvme.writesPerDay is 20.0 GiB; InferenceClass c allows at most 10Gi");
    Infeasible tooLittle = infeasible(onNvme("", ", writesPerDay: 1Mi"), null);
    assertThat(tooLittle.reason()).isEqualTo("DoesNotFit");
    assertThat(tooLittle.message())
        .contains("a sequence of 16,384 tokens may have", "1.00 MiB a day are allowed")
        .containsPattern("the same request with \\d+Mi of writes to NVMe a day");
    // Nothing is less than the class allows, but a plan takes it for no limit.
    Infeasible nothing = infeasible(onNvme(ofClass, ", writesPerDay: 0"), clazz);
    assertThat(nothing.message())
        .contains("spec.tiers.nvme.writesPerDay: 0 would let nothing be written; leave it out");
    InferenceClass none = WrittenManifests.clazz("c", "storage: {writesPerDay: 0}");
    assertThat(infeasible(onNvme(ofClass, ""), none).message())
        .contains("storage.writesPerDay: 0 would let nothing be written");
  }

  @Test
  void whatIsWrittenIsEncryptedWhereTheDeploymentOrTheClassSaysSo() {
    InferenceClass clazz = WrittenManifests.clazz("c", "storage: {encryption: AES_GCM}");
    InferenceClass indifferent = WrittenManifests.clazz("c", "storage: {encryption: NONE}");
    String ofClass = "className: c";
    for (Feasible encrypted :
        List.of(
            feasible(onNvme("", ", encryption: AES_GCM"), null),
            feasible(onNvme(ofClass, ", encryption: AES_GCM"), indifferent),
            feasible(onNvme(ofClass, ", encryption: AES_GCM"), clazz),
            feasible(onNvme(ofClass, ""), clazz))) {
      assertThat(encrypted.request().tiers().nvmeEncryption()).isEqualTo(NvmeEncryption.AES_GCM);
      assertThat(encrypted.plan().requireSizes().nvmeEncryption())
          .isEqualTo(NvmeEncryption.AES_GCM);
    }
    for (Feasible plain :
        List.of(
            feasible(onNvme("", ""), null),
            feasible(onNvme(ofClass, ", encryption: NONE"), indifferent),
            feasible(onNvme(ofClass, ""), indifferent))) {
      assertThat(plain.request().tiers().nvmeEncryption()).isEqualTo(NvmeEncryption.NONE);
    }
    Infeasible refused = infeasible(onNvme(ofClass, ", encryption: NONE"), clazz);
    assertThat(refused.reason()).isEqualTo("NotAllowed");
    assertThat(refused.message())
        .contains("tiers.nvme.encryption is NONE; InferenceClass c wants AES_GCM")
        .contains("leaves it out");
    // Who has no volume writes nothing.
    InferenceDeployment inMemory =
        WrittenManifests.deployment(
            "endpoint",
            NAMESPACE,
            "tiers: {gpu: {memory: 96Mi}, dram: {size: 256Mi}}\ncontextLength: 4096\n",
            ofClass);
    assertThat(feasible(inMemory, clazz).request().tiers().nvmeEncryption())
        .isEqualTo(NvmeEncryption.NONE);
  }

  /** Who reads it can do nothing about it in the specification. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "tenants: [{namespace: legal, gpu: '1.5'}]  | tenants[legal].gpu: '1.5'",
        "tenants: [{namespace: legal, nvme: '1m'}]  | tenants[legal].nvme: '1m'",
        "limits: {dram: '1.5'}                      | limits.dram: '1.5'",
        "limits: {cpu: '0'}                         | limits.cpu: '0' is not above 0",
        "runtime: {cpu: '0'}                        | runtime.cpu: '0' is not above 0",
        "models: {catalogue: [{uri: 'builtin:kvdrive-tiny-32k', geometry: {layers: 2, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, feedForward: 128, vocabulary: 1000, maxContext: 65536, weights: 9Ei}}]} | models.catalogue[builtin:kvdrive-tiny-32k].geometry.weights: '9Ei'",
      })
  void whatIsMalformedInTheClassIsTheClassesFault(String line, String fault) {
    Infeasible refused =
        infeasible(
            deployment("endpoint", "className: small"), WrittenManifests.clazz("small", line));

    assertThat(refused.reason()).isEqualTo("ClassInvalid");
    assertThat(refused.message()).contains("InferenceClass small", fault);
  }

  @Test
  void whatIsMalformedForAnotherTenantConcernsNobodyElse() {
    assertThat(
            feasible(
                deployment("endpoint", "className: small"),
                WrittenManifests.clazz(
                    "small", "tenants: [{namespace: legal}, {namespace: other, gpu: '1.5'}]")))
        .isNotNull();
  }

  @Test
  void aClassThatIsNotOpenIsRefusedWithThoseThatAre() {
    List<InferenceClass> classes =
        List.of(
            WrittenManifests.clazz("gold", "tenants: [{namespace: finance}]"),
            WrittenManifests.clazz("silver", "tenants: [{namespace: legal}]"),
            WrittenManifests.clazz("bronze", "{}"));

    assertThat(
            ASSESSOR.assess(deployment("e", "className: gold"), classes.get(0), List.of(), classes))
        .isInstanceOfSatisfying(
            Infeasible.class,
            verdict -> {
              assertThat(verdict.reason()).isEqualTo("NotAllowed");
              assertThat(verdict.message())
                  .isEqualTo(
                      "InferenceClass gold is not open to namespace legal."
                          + " Open to namespace legal: bronze, silver.");
            });
  }

  @Test
  void whereAClassIsRequiredNoneIsRefusedWithThoseThatAreOpen() {
    List<InferenceClass> classes =
        List.of(
            WrittenManifests.clazz("gold", "tenants: [{namespace: finance}]"),
            WrittenManifests.clazz("silver", "tenants: [{namespace: legal}]"));

    assertThat(STRICT.assess(deployment("e", ""), null, List.of(), classes))
        .isInstanceOfSatisfying(
            Infeasible.class,
            verdict -> {
              assertThat(verdict.reason()).isEqualTo("NotAllowed");
              assertThat(verdict.message())
                  .startsWith(Assessor.CLASS_REQUIRED)
                  .contains("silver")
                  .doesNotContain("gold");
            });
    assertThat(STRICT.assess(deployment("e", ""), null, List.of(), List.of()))
        .isInstanceOfSatisfying(
            Infeasible.class, verdict -> assertThat(verdict.message()).contains("None is open"));
  }

  @Test
  void whereAClassIsRequiredTheDefaultOneServes() {
    InferenceClass clazz = WrittenManifests.clazz("default", "{}");

    assertThat(STRICT.assess(deployment("e", ""), clazz, List.of())).isInstanceOf(Feasible.class);
  }

  /** It would be overwritten without a word. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "labels: {app.kubernetes.io/name: mine}",
        "labels: {app.kubernetes.io/instance: mine}",
        "labels: {app.kubernetes.io/managed-by: me}",
        "annotations: {kvdrive.dev/dram-bytes: '0'}",
      })
  void whatTheOperatorSetsItselfIsRefused(String line) {
    InferenceClass open =
        WrittenManifests.clazz(
            "c", "pods: {allowedLabelPrefixes: [''], allowedAnnotationPrefixes: ['']}");

    assertThat(infeasible(deployment("e", "className: c\nruntime: {" + line + "}"), open).message())
        .contains("the operator sets it by itself");
  }

  /** What harms others no deployment may say, with a class, without one, or with a silent one. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "priorityClassName: system-node-critical",
        "priorityClassName: system-cluster-critical",
        "tolerations: [{operator: Exists}]",
        "tolerations: [{operator: Exists, effect: NoSchedule}]",
        "tolerations: [{key: '', operator: Exists}]",
        "tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists}]",
        "tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists}]",
        "annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: 'false'}",
        "labels: {kubernetes.io/cluster-service: 'true'}",
      })
  void whatHarmsOthersIsRefusedWhetherOrNotThereIsAClass(String line) {
    InferenceClass silent = WrittenManifests.clazz("c", "{}");

    assertThat(infeasible(deployment("e", "runtime: {" + line + "}"), null).reason())
        .isEqualTo("NotAllowed");
    assertThat(
            infeasible(deployment("e", "className: c\nruntime: {" + line + "}"), silent).reason())
        .isEqualTo("NotAllowed");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "priorityClassName: batch",
        "tolerations: [{key: gpu, operator: Exists}]",
        "labels: {app.kubernetes.io/part-of: contracts, team: legal}",
        "annotations: {prometheus.io/scrape: 'true'}",
        "nodeSelector: {topology.kubernetes.io/zone: a}",
      })
  void whatHarmsNobodyIsAllowedUnlessTheClassListsSomethingElse(String line) {
    InferenceClass narrow =
        WrittenManifests.clazz(
            "c",
            """
            pods:
              allowedPriorityClassNames: [low]
              allowedTolerations: [{key: spot, operator: Exists}]
              allowedNodeSelectorKeys: [pool]
              allowedLabelPrefixes: [acme.example/]
              allowedAnnotationPrefixes: []
            """);
    String runtime = "runtime: {" + line + "}";

    assertThat(ASSESSOR.assess(deployment("e", runtime), null, List.of()))
        .isInstanceOf(Feasible.class);
    assertThat(infeasible(deployment("e", "className: c\n" + runtime), narrow))
        .satisfies(
            verdict -> {
              assertThat(verdict.reason()).isEqualTo("NotAllowed");
              assertThat(verdict.message()).contains("InferenceClass c allows");
            });
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "[{name: public, namespace: gateways}] | [a.example.com]              |",
        "[{name: shared}]                      | [a.example.com, '*.example.com'] |",
        "[{name: public, namespace: gateways}] | [llm.example.org]            |",
        "[{name: public}]                      | [a.example.com]              | parentRefs has legal/public; InferenceClass c allows gateways/public, legal/shared.",
        "[{name: public, namespace: other}]    | [a.example.com]              | parentRefs has other/public; InferenceClass c allows",
        "[{name: shared}]                      | [example.com]                | hostnames has example.com; InferenceClass c allows *.example.com, llm.example.org.",
        "[{name: shared}]                      | [a.example.org]              | hostnames has a.example.org;",
        "[{name: shared}]                      | ['*.org']                    | hostnames has *.org;",
        "[{name: shared}]                      | []                           | route.hostnames is missing;",
      })
  void aClassSaysWhichGatewaysAndHostnamesRoutesMayHave(
      String gateways, String hostnames, @Nullable String complaint) {
    InferenceClass clazz =
        WrittenManifests.clazz(
            "c",
            """
            routes:
              allowedGateways: [gateways/public, legal/shared]
              allowedHostnames: ["*.example.com", llm.example.org]
            """);
    String route = "route: {parentRefs: %s, hostnames: %s}".formatted(gateways, hostnames);

    assertThat(ASSESSOR.assess(deployment("e", route), null, List.of()))
        .isInstanceOf(Feasible.class);
    InferenceDeployment deployment = deployment("e", "className: c\n" + route);
    if (complaint == null) {
      assertThat(ASSESSOR.assess(deployment, clazz, List.of())).isInstanceOf(Feasible.class);
    } else {
      assertThat(infeasible(deployment, clazz).reason()).isEqualTo("NotAllowed");
      assertThat(infeasible(deployment, clazz).message()).contains(complaint);
    }
  }

  @Test
  void aClassWithoutGatewaysAllowsNoRoute() {
    InferenceClass clazz = WrittenManifests.clazz("c", "routes: {allowedGateways: []}");

    assertThat(
            infeasible(deployment("e", "className: c\nroute: {parentRefs: [{name: g}]}"), clazz)
                .message())
        .contains("InferenceClass c allows none");
    assertThat(ASSESSOR.assess(deployment("e", "className: c"), clazz, List.of()))
        .isInstanceOf(Feasible.class);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "route: {parentRefs: [{name: g}, {name: g}]} | two of them name the same Gateway",
        "{access: {tls: {secretName: s}}, route: {parentRefs: [{name: g}], inferencePool: {endpointPickerRef: {name: e, port: 1}}}} | without TLS",
      })
  void aRouteThatCannotBeIsInvalid(String more, String complaint) {
    String lines = more.startsWith("{") ? more.substring(1, more.length() - 1) : more;

    assertThat(infeasible(deployment("e", lines.replace("}, route", "}\nroute")), null))
        .satisfies(
            verdict -> {
              assertThat(verdict.reason()).isEqualTo("InvalidSpec");
              assertThat(verdict.message()).contains(complaint);
            });
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{key: spot, operator: Exists} | {key: spot, operator: Exists, effect: NoSchedule} | true",
        "{key: spot, operator: Exists} | {key: spot, value: yes} | true",
        "{key: spot, value: 'yes'} | {key: spot, value: 'yes', effect: NoExecute} | true",
        "{key: spot, value: 'yes'} | {key: spot, operator: Exists} | false",
        "{key: spot, value: 'yes'} | {key: spot, value: 'no'} | false",
        "{key: spot, operator: Exists, effect: NoSchedule} | {key: spot, operator: Exists} | false",
        "{key: s, operator: Exists, tolerationSeconds: 60} | {key: s, operator: Exists} | false",
        "{operator: Exists} | {key: anything, operator: Exists} | true",
        "{operator: Exists} | {operator: Exists} | false",
        "{key: node.kubernetes.io/x, operator: Exists} | {key: node.kubernetes.io/x, operator: Exists} | true",
      })
  void aTolerationIsAllowedIfItToleratesNoMoreThanAListedOne(
      String listed, String asked, boolean allowed) {
    InferenceClass clazz =
        WrittenManifests.clazz("c", "pods: {allowedTolerations: [" + listed + "]}");

    Assessment verdict =
        ASSESSOR.assess(
            deployment("e", "className: c\nruntime: {tolerations: [" + asked + "]}"),
            clazz,
            List.of());

    assertThat(verdict instanceof Feasible).isEqualTo(allowed);
  }

  @Test
  void aClassBoundsProcessorsAndDrainTime() {
    InferenceClass clazz = WrittenManifests.clazz("c", "limits: {cpu: '2', drainSeconds: 60}");

    assertThat(infeasible(deployment("e", "className: c\nruntime: {cpu: 2500m}"), clazz).message())
        .contains("runtime.cpu is 2500m")
        .contains("at most 2");
    assertThat(
            infeasible(deployment("e", "className: c\nruntime: {drainSeconds: 61}"), clazz)
                .message())
        .contains("drainSeconds is 61");
    Request silent = feasible(deployment("e", "className: c"), clazz).request();
    assertThat(silent.pod().cpu()).hasToString("2");
    assertThat(silent.drainSeconds()).isEqualTo(60);
    assertThat(feasible(deployment("e", ""), null).request().drainSeconds()).isEqualTo(300);
  }

  @Test
  void aClassGivesPriorityAndTolerations() {
    InferenceClass clazz =
        WrittenManifests.clazz(
            "c",
            """
            runtime: {priorityClassName: inference, tolerations: [{operator: Exists}]}
            pods: {allowedPriorityClassNames: [batch], allowedTolerations: []}
            """);

    Request silent = feasible(deployment("e", "className: c"), clazz).request();
    Request own =
        feasible(deployment("e", "className: c\nruntime: {priorityClassName: batch}"), clazz)
            .request();

    assertThat(silent.pod().priorityClassName()).isEqualTo("inference");
    assertThat(silent.pod().tolerations()).hasSize(1);
    assertThat(own.pod().priorityClassName()).isEqualTo("batch");
  }

  @Test
  void aBundledModelThatIsNotThereIsRefusedWithThoseThatAre() {
    InferenceDeployment unknown = deployment("e", "");
    unknown.setSpec(
        WrittenManifests.withModel(
            unknown.getSpec(),
            new ModelSpec("builtin:gpt-7", WrittenManifests.geometry(2), null, null, null, null)));

    assertThat(infeasible(unknown, null))
        .satisfies(
            verdict -> {
              assertThat(verdict.reason()).isEqualTo("ModelNotBundled");
              assertThat(verdict.message())
                  .contains("builtin:gpt-7")
                  .contains("builtin:kvdrive-tiny-32k");
            });
  }

  @Test
  void whatTheClassSaysOfDownloadsComesBeforeWhatTheOperatorWasInstalledWith() {
    Assessor assessor =
        new Assessor(
            GeometryCatalogue.wellKnown(),
            new OperatorDefaults(
                new RuntimeImages("i", "i"),
                PullPolicy.NEVER,
                List.of(),
                null,
                Set.of(),
                new Downloads(
                    "https://hub.example",
                    "http://proxy.example:3128",
                    null,
                    List.of("10.0.0.0/8"),
                    null,
                    new ConfigMapKey("ca", "ca.crt")),
                TraceCollector.UNSAID,
                false));
    InferenceClass clazz =
        WrittenManifests.clazz(
            "c", "downloads: {endpoint: 'https://mirror.example', httpsProxy: ''}");

    Downloads downloads =
        ((Feasible) assessor.assess(deployment("e", "className: c"), clazz, List.of()))
            .request()
            .pod()
            .downloads();

    assertThat(downloads.endpoint()).isEqualTo("https://mirror.example");
    assertThat(downloads.httpsProxy()).isEmpty();
    assertThat(downloads.noProxy()).containsExactly("10.0.0.0/8");
    assertThat(downloads.caBundle()).isEqualTo(new ConfigMapKey("ca", "ca.crt"));
  }

  private static final Assessor TRACED =
      assessor(
          new TraceCollector(
              "https://operators.example:4318",
              new SecretKey("operators", "headers"),
              new ConfigMapKey("operators", "ca.crt"),
              "50%"),
          false);

  private static Assessor assessor(TraceCollector collector, boolean strict) {
    return new Assessor(
        GeometryCatalogue.wellKnown(),
        new OperatorDefaults(
            new RuntimeImages("i", "i"),
            PullPolicy.NEVER,
            List.of(),
            null,
            Set.of(),
            Downloads.UNSAID,
            collector,
            strict));
  }

  private static Request.@Nullable TraceSettings traces(String deployment, String clazz) {
    Assessment assessment =
        TRACED.assess(
            deployment("e", "className: c\n" + deployment),
            WrittenManifests.clazz("c", clazz),
            List.of());
    assertThat(assessment).isInstanceOf(Feasible.class);
    return ((Feasible) assessment).request().pod().traces();
  }

  @Test
  void tracesGoWhereTheOperatorOrTheClassSays() {
    assertThat(traces("", "{}"))
        .isEqualTo(
            new Request.TraceSettings(
                "https://operators.example:4318",
                new SecretKey("operators", "headers"),
                new ConfigMapKey("operators", "ca.crt"),
                0.5));
    assertThat(traces("traces: {sampling: 0%}", "traces: {sampling: 10%}"))
        .satisfies(traces -> assertThat(Objects.requireNonNull(traces).share()).isZero());
    assertThat(traces("", "traces: {sampling: 10%}"))
        .satisfies(traces -> assertThat(Objects.requireNonNull(traces).share()).isEqualTo(0.1));
    assertThat(traces("traces: {enabled: false}", "{}")).isNull();
    assertThat(traces("", "traces: {endpoint: ''}")).isNull();
  }

  @Test
  void whatOpensOneCollectorIsNeverSentToAnother() {
    assertThat(traces("", "traces: {endpoint: 'https://other.example'}"))
        .isEqualTo(new Request.TraceSettings("https://other.example", null, null, 0.5));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "traces: {enabled: true}  | traces: {endpoint: ''} | NotAllowed | traces.enabled is true, and there is no collector",
        "traces: {sampling: 10%}  | traces: {endpoint: ''} | NotAllowed | traces.endpoint of InferenceClass c, or runtime.traces.endpoint of the chart",
        "traces: {sampling: 20%}  | traces: {sampling: 10%} | NotAllowed | traces.sampling is 20%; InferenceClass c allows at most 10%.",
        "traces: {sampling: 60%}  | {}                     | NotAllowed | the operator (runtime.traces.sampling) allows at most 50%.",
        "traces: {enabled: false, sampling: 10%} | {}      | InvalidSpec | leave one of them out",
        "traces: {sampling: 120%} | {}                     | InvalidSpec | spec.traces.sampling: '120%' is not a share",
      })
  void aDeploymentIsTracedNoMoreThanItMay(
      String deployment, String clazz, String reason, String refusal) {
    assertThat(
            TRACED.assess(
                deployment("e", "className: c\n" + deployment),
                WrittenManifests.clazz("c", clazz),
                List.of()))
        .isInstanceOfSatisfying(
            Infeasible.class,
            refused -> {
              assertThat(refused.reason()).isEqualTo(reason);
              assertThat(refused.message()).contains(refusal);
            });
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "headersSecret: {name: s, key: k}                              | are those of an endpoint",
        "endpoint: '', caBundle: {name: s, key: k}                     | are those of an endpoint",
        "endpoint: 'http://c:4318', headersSecret: {name: s, key: k}   | in plain",
        "endpoint: 'http://c:4317'                                     | the port for gRPC",
        "endpoint: 'c:4318'                                            | endpoint: 'c:4318' is not an address",
        "endpoint: 'http://u:p@c:4318'                                 | is not an address",
        "endpoint: 'http://c:4318', sampling: 101%                     | traces: sampling: '101%' is not a share",
        "endpoint: 'http://c:99999'                                    | is not an address",
        "endpoint: 'http://trace_collector:4318'                       | is not an address",
        "endpoint: 'http://-:4318'                                     | is not an address",
      })
  void halfACollectorIsRefused(String traces, String refusal) {
    assertThat(
            TRACED.assess(
                deployment("e", "className: c"),
                WrittenManifests.clazz("c", "traces: {%s}".formatted(traces)),
                List.of()))
        .isInstanceOfSatisfying(
            Infeasible.class,
            refused -> {
              assertThat(refused.reason()).isEqualTo("ClassInvalid");
              assertThat(refused.message()).contains(refusal);
            });
  }

  @Test
  void aQuotaServesTheOldestFirst() {
    InferenceClass clazz =
        WrittenManifests.clazz("c", "tenants: [{namespace: legal, dram: 150Mi}]");
    InferenceDeployment first = aged(deployment("first", "className: c"), 1);
    InferenceDeployment second = aged(deployment("second", "className: c"), 2);
    InferenceDeployment third = aged(deployment("third", "className: c"), 3);
    InferenceDeployment other = aged(deployment("other", ""), 0);
    List<InferenceDeployment> all = List.of(third, second, first, other);

    assertThat(ASSESSOR.assess(first, clazz, all)).isInstanceOf(Feasible.class);
    assertThat(ASSESSOR.assess(second, clazz, all)).isInstanceOf(Feasible.class);
    assertThat(ASSESSOR.assess(third, clazz, all))
        .isInstanceOfSatisfying(
            Infeasible.class,
            verdict -> {
              assertThat(verdict.reason()).isEqualTo("QuotaExceeded");
              assertThat(verdict.message()).contains("192 MiB").contains("150Mi");
            });
  }

  @Test
  void ofThoseOfTheSameSecondTheFirstByNameIsServed() {
    InferenceClass clazz =
        WrittenManifests.clazz("c", "tenants: [{namespace: legal, deployments: 1}]");
    InferenceDeployment a = aged(deployment("a", "className: c"), 1);
    InferenceDeployment b = aged(deployment("b", "className: c"), 1);
    InferenceDeployment c = aged(deployment("c", "className: c"), 1);
    List<InferenceDeployment> all = List.of(c, b, a);

    assertThat(ASSESSOR.assess(a, clazz, all)).isInstanceOf(Feasible.class);
    assertThat(ASSESSOR.assess(c, clazz, all, List.of(clazz), Map.of("a", Usage.NONE)))
        .isInstanceOfSatisfying(
            Infeasible.class,
            verdict ->
                assertThat(verdict.message())
                    .isEqualTo(
                        "Namespace legal may have 1 deployment of InferenceClass c and has 1"
                            + " already, and 1 that waited before."));
  }

  @Test
  void replicasCountInAQuota() {
    InferenceClass clazz = WrittenManifests.clazz("c", "limits: {dram: 100Mi}");

    assertThat(infeasible(deployment("e", "className: c\nreplicas: 2"), clazz).message())
        .contains("128 MiB");
  }

  @ParameterizedTest
  @CsvSource({"100%, 1.0", "6.25%, 0.0625", "1.56%, 0.0156", "0.5%, 0.005"})
  void readsABudget(String text, double share) {
    assertThat(RequestResolver.share("spec.budget", text)).isEqualTo(share);
  }

  @ParameterizedTest
  @CsvSource({"0%", "101%", "0.5", "many%"})
  void refusesWhatIsNoBudget(String text) {
    assertThat(infeasible(deployment("endpoint", "budget: '" + text + "'"), null))
        .satisfies(
            verdict -> {
              assertThat(verdict.reason()).isEqualTo("InvalidSpec");
              assertThat(verdict.message()).contains("spec.budget").contains(text);
            });
  }

  private static InferenceDeployment deployment(String name, String more) {
    return WrittenManifests.deployment(name, NAMESPACE, more);
  }

  private static InferenceDeployment aged(InferenceDeployment deployment, int day) {
    deployment.getMetadata().setCreationTimestamp("2026-11-0%dT00:00:00Z".formatted(day));
    return deployment;
  }

  private static Feasible feasible(InferenceDeployment deployment, @Nullable InferenceClass clazz) {
    return (Feasible) ASSESSOR.assess(deployment, clazz, List.of());
  }

  private static Infeasible infeasible(
      InferenceDeployment deployment, @Nullable InferenceClass clazz) {
    return (Infeasible) ASSESSOR.assess(deployment, clazz, List.of());
  }
}
