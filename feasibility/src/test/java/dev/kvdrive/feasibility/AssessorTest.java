package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Assessment.Infeasible;
import dev.kvdrive.plan.DeviceKind;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AssessorTest {
  private static final String NAMESPACE = "legal";
  private static final Assessor ASSESSOR =
      new Assessor(
          GeometryCatalogue.wellKnown(),
          new OperatorDefaults(
              "operators/image", PullPolicy.IF_NOT_PRESENT, List.of(), 65532L, Set.of("system")));

  @Test
  void completesWhatNobodySaid() {
    Request request = feasible(deployment("endpoint", ""), null).request();

    assertThat(request.servedModelName()).isEqualTo("endpoint");
    assertThat(request.concurrency()).isEqualTo(1);
    assertThat(request.budget()).isEqualTo(0.0625);
    assertThat(request.queueLimit()).isEqualTo(8);
    assertThat(request.device()).isEqualTo(DeviceKind.CPU);
    assertThat(request.pod().image()).isEqualTo("operators/image");
    assertThat(request.storageClassName()).isNull();
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
