package dev.kvdrive.cli.status;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentSpec;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.api.v1alpha1.TierStatus;
import dev.kvdrive.cli.cluster.Cluster;
import dev.kvdrive.cli.cluster.Surroundings;
import dev.kvdrive.cli.plan.ClusterVerdict;
import dev.kvdrive.cli.terminal.Quantities;
import dev.kvdrive.feasibility.Assessment;
import dev.kvdrive.plan.IndexShape;
import io.fabric8.kubernetes.api.model.Quantity;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** All deployments of a namespace, or of all, a line each. */
final class StatusTable implements View<List<StatusTable.Row>> {
  private static final String UNKNOWN = "-";

  private final Cluster cluster;
  private final boolean all;

  /**
   * A line.
   *
   * @param index what chunks are chosen by, as planned
   */
  record Row(InferenceDeployment deployment, String index) {}

  /**
   * @param all whether of all namespaces
   */
  StatusTable(Cluster cluster, boolean all) {
    this.cluster = cluster;
    this.all = all;
  }

  @Override
  public List<Row> look() {
    ClusterVerdict verdict = new ClusterVerdict(new Surroundings(cluster));
    return cluster.deployments(all ? null : cluster.namespace()).stream()
        .map(deployment -> new Row(deployment, index(deployment, verdict)))
        .toList();
  }

  /** Nobody writes the index that was chosen into the status; the plan has it. */
  static String index(InferenceDeployment deployment, ClusterVerdict verdict) {
    if (deployment.getSpec() == null) {
      return UNKNOWN;
    }
    @Nullable IndexShape planned =
        verdict.of(deployment) instanceof Assessment.Feasible fits ? fits.request().index() : null;
    return planned != null
        ? planned.word()
        : Objects.requireNonNullElse(deployment.getSpec().index(), UNKNOWN);
  }

  @Override
  public String text(List<Row> seen, Instant now) {
    List<String> heading =
        new ArrayList<>(
            List.of(
                "NAME", "READY", "STATE", "REASON", "MODEL", "CONTEXT", "INDEX", "GPU", "DRAM",
                "NVME", "HITS", "AGE", "URL"));
    if (all) {
      heading.addFirst("NAMESPACE");
    }
    Columns columns = new Columns("", heading.toArray(String[]::new));
    for (Row row : seen) {
      columns.row(cells(row, now));
    }
    return columns.text();
  }

  private List<String> cells(Row row, Instant now) {
    InferenceDeployment deployment = row.deployment();
    @Nullable InferenceDeploymentSpec spec = deployment.getSpec();
    @Nullable InferenceDeploymentStatus status = deployment.getStatus();
    Standing standing = Standing.of(deployment);
    List<String> cells = new ArrayList<>();
    if (all) {
      cells.add(deployment.getMetadata().getNamespace());
    }
    cells.add(deployment.getMetadata().getName());
    cells.add(ready(deployment));
    cells.add(standing.word());
    cells.add(standing.reason());
    cells.add(spec == null ? UNKNOWN : spec.model().uri());
    cells.add(
        spec == null
            ? UNKNOWN
            : "%s x %d"
                .formatted(
                    Quantities.count(spec.contextLength()),
                    Objects.requireNonNullElse(spec.concurrency(), 1)));
    cells.add(row.index());
    cells.add(tier(status, "gpu", spec == null ? null : spec.tiers().gpu().memory()));
    cells.add(tier(status, "dram", spec == null ? null : spec.tiers().dram().size()));
    cells.add(
        tier(
            status,
            "nvme",
            spec == null || spec.tiers().nvme() == null ? null : spec.tiers().nvme().size()));
    cells.add(
        tiers(status).stream()
            .filter(t -> t.name().equals("gpu") && t.hitRate() != null)
            .map(t -> Objects.requireNonNull(t.hitRate()))
            .findFirst()
            .orElse(UNKNOWN));
    cells.add(Ages.of(deployment.getMetadata().getCreationTimestamp(), now));
    cells.add(status == null || status.url() == null ? UNKNOWN : status.url());
    return cells;
  }

  /** Pods that serve, of those that shall. */
  static String ready(InferenceDeployment deployment) {
    @Nullable InferenceDeploymentStatus status = deployment.getStatus();
    @Nullable Integer desired =
        deployment.getSpec() == null ? null : deployment.getSpec().replicas();
    @Nullable Integer ready = status == null ? null : status.readyReplicas();
    return (ready == null ? 0 : ready) + "/" + (desired == null ? 1 : desired);
  }

  static List<TierStatus> tiers(@Nullable InferenceDeploymentStatus status) {
    return status == null ? List.of() : Objects.requireNonNullElse(status.tiers(), List.of());
  }

  /** What pods use of a tier, if that was read, of what all that serve may. */
  private static String tier(
      @Nullable InferenceDeploymentStatus status, String name, @Nullable Quantity budget) {
    if (budget == null) {
      return UNKNOWN;
    }
    @Nullable Integer pods = status == null ? null : status.readyReplicas();
    return tiers(status).stream()
        .filter(tier -> tier.name().equals(name) && tier.used() != null)
        .map(tier -> tier.used() + "/" + (pods != null && pods > 1 ? pods + "x" : "") + budget)
        .findFirst()
        .orElse(budget.toString());
  }
}
