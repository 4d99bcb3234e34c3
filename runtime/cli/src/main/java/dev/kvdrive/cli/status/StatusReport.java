package dev.kvdrive.cli.status;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentSpec;
import dev.kvdrive.api.v1alpha1.InferenceDeploymentStatus;
import dev.kvdrive.api.v1alpha1.PlanStatus;
import dev.kvdrive.api.v1alpha1.TierStatus;
import dev.kvdrive.cli.cluster.Ask;
import dev.kvdrive.cli.cluster.Cluster;
import dev.kvdrive.cli.cluster.Read;
import dev.kvdrive.cli.cluster.Surroundings;
import dev.kvdrive.cli.plan.ClusterVerdict;
import dev.kvdrive.cli.plan.PlanRows;
import dev.kvdrive.cli.terminal.Quantities;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.model.file.Printable;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.observed.RuntimeContainer;
import dev.kvdrive.observed.stored.UnreadableDeployment;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ContainerState;
import io.fabric8.kubernetes.api.model.ContainerStateTerminated;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.ListOptionsBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Instant;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** All that can be told of one deployment. */
final class StatusReport implements View<StatusReport.Seen> {
  private static final int MOST_EVENTS = 10;

  /** Of a page of the API server; events of a namespace can be many. */
  private static final long EVENTS_READ = 500;

  private static final int WIDTH = 110;
  private static final String INDENT = "  ";
  private static final String UNKNOWN = "-";

  /** Conditions that are there while something is the matter. */
  private static final Set<String> BAD_WHEN_TRUE =
      Set.of("Stalled", "Reconciling", "RolloutWaiting", "WritesSpent", "Altered");

  private final Cluster cluster;
  private final String name;
  private final Terminal terminal;
  private final LiveFigures live;
  private final boolean watching;

  /**
   * What one look brought.
   *
   * @param index what chunks are chosen by, as planned
   */
  record Seen(
      InferenceDeployment deployment,
      String index,
      Read<List<Pod>> pods,
      Read<List<Event>> events,
      LiveFigures.Seen live) {}

  /**
   * @param watching whether there will be other looks, so that something can be said of a second
   */
  StatusReport(Cluster cluster, String name, Terminal terminal, boolean watching) {
    this.cluster = cluster;
    this.name = name;
    this.terminal = terminal;
    this.live = new LiveFigures(cluster);
    this.watching = watching;
  }

  @Override
  public Seen look() {
    InferenceDeployment deployment = cluster.deployment(name);
    String namespace = cluster.namespace();
    Read<List<Pod>> pods =
        cluster.read(
            Ask.list("", "pods", namespace),
            () ->
                cluster
                    .client()
                    .pods()
                    .inNamespace(namespace)
                    .withLabels(Labels.selector(name))
                    .list()
                    .getItems()
                    .stream()
                    .sorted(Comparator.comparing(pod -> pod.getMetadata().getName()))
                    .toList());
    Read<List<Event>> events =
        cluster.read(
            Ask.list("", "events", namespace),
            () ->
                cluster
                    .client()
                    .v1()
                    .events()
                    .inNamespace(namespace)
                    .list(new ListOptionsBuilder().withLimit(EVENTS_READ).build())
                    .getItems()
                    .stream()
                    .filter(event -> concerns(event, pods.orElse(List.of())))
                    .sorted(Comparator.comparing(StatusReport::time).reversed())
                    .limit(MOST_EVENTS)
                    .toList());
    return new Seen(
        deployment,
        StatusTable.index(deployment, new ClusterVerdict(new Surroundings(cluster))),
        pods,
        events,
        live.look(pods.orElse(List.of())));
  }

  private boolean concerns(Event event, List<Pod> pods) {
    Set<String> names = new HashSet<>(Set.of(name));
    pods.forEach(pod -> names.add(pod.getMetadata().getName()));
    return event.getInvolvedObject() != null
        && event.getInvolvedObject().getName() != null
        && names.contains(event.getInvolvedObject().getName());
  }

  /** When an event was last seen; events of the newer kind say it elsewhere. */
  private static String time(Event event) {
    return Stream.of(
            event.getSeries() == null || event.getSeries().getLastObservedTime() == null
                ? null
                : event.getSeries().getLastObservedTime().getTime(),
            event.getLastTimestamp(),
            event.getEventTime() == null ? null : event.getEventTime().getTime(),
            event.getMetadata().getCreationTimestamp())
        .filter(Objects::nonNull)
        .map(Objects::requireNonNull)
        .findFirst()
        .orElse("");
  }

  @Override
  public String text(Seen seen, Instant now) {
    StringBuilder out = new StringBuilder();
    heading(out, seen, now);
    conditions(out, seen.deployment(), now);
    plan(out, seen);
    pods(out, seen, now);
    figures(out, seen);
    events(out, seen, now);
    return out.toString();
  }

  private void heading(StringBuilder out, Seen seen, Instant now) {
    InferenceDeployment deployment = seen.deployment();
    @Nullable InferenceDeploymentSpec spec = deployment.getSpec();
    @Nullable InferenceDeploymentStatus status = deployment.getStatus();
    Standing standing = Standing.of(deployment);
    String title =
        "%s/%s: %s%s"
            .formatted(
                deployment.getMetadata().getNamespace(),
                name,
                standing.word(),
                standing.reason().equals(UNKNOWN) ? "" : " (" + standing.reason() + ")");
    out.append(
            standing.word().equals("Ready")
                ? terminal.good(title)
                : standing.word().equals("Stalled") ? terminal.bad(title) : terminal.bold(title))
        .append(", %s pods ready\n".formatted(StatusTable.ready(deployment)));
    if (spec != null) {
      line(
          out,
          "model",
          "%s, context %s x %d%s"
              .formatted(
                  spec.model().uri(),
                  Quantities.count(spec.contextLength()),
                  Objects.requireNonNullElse(spec.concurrency(), 1),
                  spec.className() == null ? "" : ", class " + spec.className()));
    }
    if (status != null && status.url() != null) {
      line(out, "url", status.url());
    }
    if (status != null && status.operator() != null) {
      line(out, "operator", status.operator());
    }
    line(out, "age", Ages.of(deployment.getMetadata().getCreationTimestamp(), now));
    Long generation = deployment.getMetadata().getGeneration();
    if (status != null
        && status.observedGeneration() != null
        && generation != null
        && !status.observedGeneration().equals(generation)) {
      wrapped(
          out,
          "The operator has not judged the latest specification yet: all below is of generation %d, the specification has %d."
              .formatted(status.observedGeneration(), generation));
    }
    if (deployment instanceof UnreadableDeployment unreadable) {
      wrapped(out, unreadable.refusal());
    }
  }

  private void conditions(StringBuilder out, InferenceDeployment deployment, Instant now) {
    heading(out, "Conditions");
    List<Condition> conditions = Standing.conditions(deployment);
    if (conditions.isEmpty()) {
      wrapped(
          out,
          "No operator has judged it. Is one installed, and does it watch this namespace? helm list -A shows releases; its value watch.namespaces says which it serves.");
      return;
    }
    Set<String> told = new HashSet<>();
    // What Ready says it has from another condition: there it is told, with the way out.
    for (Condition condition : conditions) {
      boolean bad = isBad(condition);
      String mark =
          bad
              ? terminal.bad(terminal.unicode() ? "✗" : "x")
              : "Unknown".equals(condition.getStatus())
                  ? "?"
                  : terminal.good(terminal.unicode() ? "✓" : "+");
      out.append(
          "%s%s %-15s %s (%s, %s)\n"
              .formatted(
                  INDENT,
                  mark,
                  condition.getType(),
                  Words.sentence(condition.getType(), condition.getStatus()),
                  condition.getReason(),
                  Ages.of(condition.getLastTransitionTime(), now)));
      boolean elsewhere =
          condition.getType().equals("Ready")
              && conditions.stream()
                  .anyMatch(
                      other ->
                          !other.getType().equals("Ready")
                              && Objects.equals(other.getReason(), condition.getReason())
                              && Objects.equals(other.getMessage(), condition.getMessage()));
      String message = Objects.requireNonNullElse(condition.getMessage(), "");
      if (!"True".equals(condition.getStatus()) || bad) {
        if (!elsewhere && !message.isEmpty() && told.add(message)) {
          wrapped(out, message);
          Words.wayOut(condition.getReason())
              .ifPresent(way -> wrapped(out, terminal.bold("Way out: "), way + "."));
        }
      }
    }
  }

  private static boolean isBad(Condition condition) {
    return BAD_WHEN_TRUE.contains(condition.getType())
        ? "True".equals(condition.getStatus()) && !condition.getType().equals("Reconciling")
        : "False".equals(condition.getStatus());
  }

  private void plan(StringBuilder out, Seen seen) {
    heading(out, "Plan");
    @Nullable InferenceDeploymentStatus status = seen.deployment().getStatus();
    @Nullable PlanStatus plan = status == null ? null : status.plan();
    if (status == null || plan == null) {
      wrapped(out, "There is none: it was refused before, or nobody has judged it yet.");
      return;
    }
    if (plan.budget() != null) {
      line(
          out,
          "budget",
          plan.budget()
              + (status.attended() == null
                  ? ""
                  : ", attended " + status.attended() + " of the context"));
    }
    if (!seen.index().equals(UNKNOWN)) {
      line(out, "index", seen.index());
    }
    if (plan.denseBelow() != null) {
      line(out, "dense", "up to %s tokens".formatted(Quantities.count(plan.denseBelow())));
    }
    if (plan.memory() != null) {
      line(
          out,
          "pod",
          "memory %s, heap %s, volume %s"
              .formatted(text(plan.memory()), text(plan.heap()), text(plan.volume())));
    }
    line(
        out,
        "sizes",
        "of %s".formatted(Objects.requireNonNullElse(plan.geometrySource(), UNKNOWN)));
    if (status.accuracy() != null) {
      line(
          out,
          "accuracy",
          "mass missed %s, error of the output %s"
              .formatted(status.accuracy().massMissed(), status.accuracy().outputError()));
    }
    out.append('\n');
    List<PlanStatus.Demand> demands =
        Objects.requireNonNullElse(plan.demands(), List.<PlanStatus.Demand>of());
    for (TierStatus tier : StatusTable.tiers(status)) {
      demands.stream()
          .filter(d -> d.tier().equals(tier.name()))
          .forEach(
              d ->
                  out.append(INDENT)
                      .append(PlanRows.row(d.tier(), d.item(), d.size(), d.arithmetic())));
      out.append(INDENT)
          .append(
              PlanRows.row(
                  tier.name(),
                  "total",
                  text(tier.planned()),
                  "of %s budgeted%s".formatted(tier.budget(), used(tier))));
    }
    // Why it does not fit, and what would, is what Feasible says above.
    for (String warning : Objects.requireNonNullElse(plan.warnings(), List.<String>of())) {
      wrapped(out, "Note: " + warning);
    }
  }

  private static String used(TierStatus tier) {
    StringBuilder out = new StringBuilder();
    if (tier.used() != null) {
      out.append(", used ").append(tier.used()).append(" by all pods");
    }
    if (tier.hitRate() != null) {
      out.append(", ").append(tier.hitRate()).append(" of the selected chunks found here");
    }
    if (tier.writtenLastDay() != null) {
      out.append(", written today ").append(tier.writtenLastDay());
      if (tier.writesPerDay() != null) {
        out.append(" of ").append(tier.writesPerDay());
      }
    }
    if (tier.encryption() != null) {
      out.append(", encrypted (").append(tier.encryption()).append(')');
    }
    return out.toString();
  }

  private void pods(StringBuilder out, Seen seen, Instant now) {
    heading(out, "Pods");
    if (seen.pods().fault() != null) {
      notRead(out, "pods", seen.pods().fault());
      return;
    }
    List<Pod> pods = seen.pods().orElse(List.of());
    if (pods.isEmpty()) {
      wrapped(out, "There are none.");
      return;
    }
    Columns columns =
        new Columns(INDENT, "POD", "NODE", "READY", "STATE", "RESTARTS", "LAST END", "AGE");
    for (Pod pod : pods) {
      Optional<ContainerStatus> runtime = runtime(pod);
      columns.row(
          List.of(
              pod.getMetadata().getName(),
              Objects.requireNonNullElse(pod.getSpec().getNodeName(), UNKNOWN),
              runtime.map(c -> Boolean.TRUE.equals(c.getReady()) ? "yes" : "no").orElse("no"),
              state(pod, runtime),
              runtime.map(c -> String.valueOf(c.getRestartCount())).orElse("0"),
              runtime
                  .map(ContainerStatus::getLastState)
                  .map(ContainerState::getTerminated)
                  .map(end -> ended(end, now))
                  .orElse(UNKNOWN),
              Ages.of(pod.getMetadata().getCreationTimestamp(), now)));
    }
    out.append(columns.text());
    for (Pod pod : pods) {
      runtime(pod)
          .map(ContainerStatus::getLastState)
          .map(ContainerState::getTerminated)
          .map(ContainerStateTerminated::getMessage)
          .filter(message -> !message.isBlank())
          .ifPresent(
              message ->
                  wrapped(
                      out,
                      "Last words of %s: %s"
                          .formatted(pod.getMetadata().getName(), message.strip())));
    }
  }

  private static Optional<ContainerStatus> runtime(Pod pod) {
    return pod.getStatus() == null || pod.getStatus().getContainerStatuses() == null
        ? Optional.empty()
        : pod.getStatus().getContainerStatuses().stream()
            .filter(c -> c.getName().equals(RuntimeContainer.NAME))
            .findFirst();
  }

  private static String state(Pod pod, Optional<ContainerStatus> runtime) {
    if (pod.getMetadata().getDeletionTimestamp() != null) {
      return "Terminating";
    }
    Optional<String> waits =
        runtime
            .map(ContainerStatus::getState)
            .map(ContainerState::getWaiting)
            .map(w -> Objects.requireNonNullElse(w.getReason(), "Waiting"));
    return waits.orElseGet(
        () ->
            pod.getStatus() == null || pod.getStatus().getPhase() == null
                ? "Unknown"
                : pod.getStatus().getPhase());
  }

  private static String ended(ContainerStateTerminated end, Instant now) {
    return "%s (%s), %s"
        .formatted(
            Objects.requireNonNullElse(end.getReason(), "Ended"),
            end.getExitCode(),
            Ages.of(end.getFinishedAt(), now));
  }

  private void figures(StringBuilder out, Seen seen) {
    if (seen.live().pods().isEmpty() && seen.live().faults().isEmpty()) {
      return;
    }
    heading(out, "Now");
    out.append(LiveFigures.text(seen.live(), INDENT));
    if (!watching && !seen.live().pods().isEmpty()) {
      wrapped(out, "Tokens a second take two looks: -w.");
    }
    for (Map.Entry<String, List<String>> fault : seen.live().faults().entrySet()) {
      notRead(out, "metrics of " + String.join(", ", fault.getValue()), fault.getKey());
    }
  }

  private void events(StringBuilder out, Seen seen, Instant now) {
    heading(out, "Events");
    if (seen.events().fault() != null) {
      notRead(out, "events", seen.events().fault());
      return;
    }
    List<Event> events = seen.events().orElse(List.of());
    if (events.isEmpty()) {
      wrapped(out, "None is kept.");
    }
    for (Event event : events) {
      String times =
          event.getCount() == null || event.getCount() < 2 ? "" : " x" + event.getCount();
      wrapped(
          out,
          "%s ago%s  %s %s %s: %s"
              .formatted(
                  Ages.of(time(event), now),
                  times,
                  Objects.requireNonNullElse(event.getType(), UNKNOWN),
                  Objects.requireNonNullElse(event.getReason(), UNKNOWN),
                  event.getInvolvedObject().getName().equals(name)
                      ? "deployment"
                      : event.getInvolvedObject().getName(),
                  Objects.requireNonNullElse(event.getMessage(), "").strip()));
    }
  }

  private void notRead(StringBuilder out, String what, @Nullable String fault) {
    wrapped(out, terminal.bold("Not read: "), what + ": " + fault + ".");
  }

  private void heading(StringBuilder out, String title) {
    out.append('\n').append(terminal.bold(title)).append('\n');
  }

  private static void line(StringBuilder out, String what, String text) {
    out.append("%s%-9s %s\n".formatted(INDENT, what, Printable.of(text)));
  }

  private static String text(@Nullable Object value) {
    return value == null ? UNKNOWN : value.toString();
  }

  private static void wrapped(StringBuilder out, String text) {
    wrapped(out, "", text);
  }

  /** Text of others, whose lines are as long as they like and may hold anything. */
  private static void wrapped(StringBuilder out, String label, String text) {
    String before = label;
    for (String paragraph : Printable.of(text).lines().toList()) {
      StringBuilder line = new StringBuilder();
      for (String word : paragraph.split(" ", -1)) {
        if (!line.isEmpty() && line.length() + word.length() >= WIDTH) {
          out.append(INDENT).append(INDENT).append(before).append(line).append('\n');
          before = "";
          line.setLength(0);
        }
        line.append(line.isEmpty() ? "" : " ").append(word);
      }
      out.append(INDENT).append(INDENT).append(before).append(line).append('\n');
      before = "";
    }
  }
}
