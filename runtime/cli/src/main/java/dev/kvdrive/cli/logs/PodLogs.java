package dev.kvdrive.cli.logs;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.cli.cluster.Ask;
import dev.kvdrive.cli.cluster.Cluster;
import dev.kvdrive.cli.cluster.ClusterException;
import dev.kvdrive.cli.cluster.Read;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.observed.RuntimeContainer;
import io.fabric8.kubernetes.api.model.ContainerState;
import io.fabric8.kubernetes.api.model.ContainerStatus;
import io.fabric8.kubernetes.api.model.Pod;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * The logs of a deployment's pods. Lines are asked for with their times, which are not shown: by
 * them a stream that broke off is taken up where it ended, without a line twice.
 */
final class PodLogs {
  private static final Duration BETWEEN_LOOKS = Duration.ofSeconds(1);

  private final Cluster cluster;
  private final String name;
  private final Part part;
  private final Lines lines;

  /** Time of the last line that was shown, by the pod's uid. */
  private final Map<String, Instant> last = new ConcurrentHashMap<>();

  /** Containers whose log is being read, by {@link #container}. */
  private final Set<String> open = ConcurrentHashMap.newKeySet();

  /** Containers that have ended and were read to the end. */
  private final Set<String> done = ConcurrentHashMap.newKeySet();

  /**
   * Which part of a log.
   *
   * @param tail last lines; null for all
   * @param since how far back; null for all
   * @param previous of the container before the last restart
   */
  record Part(@Nullable Integer tail, @Nullable Duration since, boolean previous) {}

  PodLogs(Cluster cluster, String name, Part part, Lines lines) {
    this.cluster = cluster;
    this.name = name;
    this.part = part;
    this.lines = lines;
  }

  /**
   * Shows what has been written.
   *
   * @return exit status: 0 if any pod had a log
   */
  int show() {
    List<Pod> pods = pods();
    if (pods.isEmpty()) {
      throw new ClusterException(
          "there are no pods of %s in namespace %s; status %s says why"
              .formatted(name, cluster.namespace(), name),
          null);
    }
    pods.forEach(pod -> lines.expect(pod.getMetadata().getName()));
    int shown = 0;
    for (Pod pod : pods) {
      Read<InputStream> log = log(pod, false);
      if (log.value() == null) {
        lines.remark("no log of pod %s: %s".formatted(pod.getMetadata().getName(), log.fault()));
      } else {
        copy(pod, log.value());
        shown++;
      }
    }
    return shown > 0 ? 0 : 1;
  }

  /**
   * Shows what is written, by whatever pods there are, until the thread is interrupted or the
   * deployment is gone.
   *
   * @return exit status
   */
  int follow() throws InterruptedException {
    Set<String> told = new HashSet<>();
    boolean waits = false;
    while (true) {
      List<Pod> pods = List.of();
      try {
        pods = pods();
        if (pods.isEmpty() && isGone()) {
          lines.remark("%s is gone".formatted(name));
          return 0;
        }
        told.clear();
      } catch (ClusterException e) {
        // A server that restarts must not end it.
        if (told.add(String.valueOf(e.getMessage()))) {
          lines.remark("%s; asking again".formatted(e.getMessage()));
        }
      }
      if (pods.stream().noneMatch(PodLogs::hasStarted)) {
        if (!waits && told.isEmpty()) {
          waits = true;
          lines.remark(
              "no pod of %s has started; waiting (status %s says for what)".formatted(name, name));
        }
      } else {
        waits = false;
      }
      for (Pod pod : pods) {
        if (hasStarted(pod) && !done.contains(container(pod)) && open.add(container(pod))) {
          lines.expect(pod.getMetadata().getName());
          Thread.ofVirtual().name("log of " + pod.getMetadata().getName()).start(() -> stream(pod));
        }
      }
      Thread.sleep(BETWEEN_LOOKS);
    }
  }

  private boolean isGone() {
    return cluster
        .read(
            Ask.get(InferenceDeployment.GROUP, "inferencedeployments", cluster.namespace()),
            () ->
                cluster
                        .client()
                        .resources(InferenceDeployment.class)
                        .inNamespace(cluster.namespace())
                        .withName(name)
                        .get()
                    == null)
        .orElse(false);
  }

  private void stream(Pod pod) {
    try {
      Read<InputStream> log = log(pod, true);
      if (log.value() == null) {
        lines.remark("no log of pod %s: %s".formatted(pod.getMetadata().getName(), log.fault()));
      } else if (copy(pod, log.value()) && hasEnded(pod)) {
        done.add(container(pod));
      }
    } finally {
      open.remove(container(pod));
    }
  }

  /** Whether the container whose log ended has, too; else the connection has. */
  private boolean hasEnded(Pod pod) {
    Read<Boolean> now =
        cluster.read(
            Ask.get("", "pods", cluster.namespace()),
            () -> {
              Pod found =
                  cluster
                      .client()
                      .pods()
                      .inNamespace(cluster.namespace())
                      .withName(pod.getMetadata().getName())
                      .get();
              return found == null
                  || !container(found).equals(container(pod))
                  || runtime(found)
                      .map(ContainerStatus::getState)
                      .map(ContainerState::getTerminated)
                      .isPresent();
            });
    return now.orElse(false);
  }

  private List<Pod> pods() {
    return cluster
        .require(
            Ask.list("", "pods", cluster.namespace()),
            () ->
                cluster
                    .client()
                    .pods()
                    .inNamespace(cluster.namespace())
                    .withLabels(Labels.selector(name))
                    .list()
                    .getItems())
        .stream()
        .sorted(Comparator.comparing(pod -> pod.getMetadata().getName()))
        .toList();
  }

  private Read<InputStream> log(Pod pod, boolean following) {
    StringBuilder path =
        new StringBuilder(
            "api/v1/namespaces/%s/pods/%s/log?container=%s&timestamps=true"
                .formatted(
                    pod.getMetadata().getNamespace(),
                    pod.getMetadata().getName(),
                    RuntimeContainer.NAME));
    Instant shown = last.get(pod.getMetadata().getUid());
    if (following) {
      path.append("&follow=true");
    }
    if (part.previous()) {
      path.append("&previous=true");
    }
    if (shown != null) {
      // Of whole seconds: what was shown already is passed over as it comes.
      path.append("&sinceTime=").append(Instant.ofEpochSecond(shown.getEpochSecond()));
    } else {
      if (part.tail() != null) {
        path.append("&tailLines=").append(part.tail());
      }
      if (part.since() != null) {
        path.append("&sinceSeconds=").append(part.since().toSeconds());
      }
    }
    return cluster.read(
        Ask.get("", "pods/log", pod.getMetadata().getNamespace()),
        () -> cluster.answer(cluster.ask(path.toString(), InputStream.class, null)));
  }

  /**
   * Shows a log.
   *
   * @return whether it came to its end
   */
  private boolean copy(Pod pod, InputStream log) {
    try (BufferedReader reader =
        new BufferedReader(new InputStreamReader(log, StandardCharsets.UTF_8))) {
      String uid = pod.getMetadata().getUid();
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        int space = line.indexOf(' ');
        Instant time = space < 0 ? null : time(line.substring(0, space));
        if (time == null) {
          lines.line(pod.getMetadata().getName(), line);
          continue;
        }
        Instant before = last.get(uid);
        if (before == null || time.isAfter(before)) {
          last.put(uid, time);
          lines.line(pod.getMetadata().getName(), line.substring(space + 1));
        }
      }
      return true;
    } catch (IOException e) {
      return false; // taken up again where it ended
    }
  }

  private static @Nullable Instant time(String text) {
    try {
      return Instant.parse(text);
    } catch (DateTimeParseException e) {
      return null;
    }
  }

  private static boolean hasStarted(Pod pod) {
    return runtime(pod)
        .map(ContainerStatus::getState)
        .filter(state -> state.getRunning() != null || state.getTerminated() != null)
        .isPresent();
  }

  private static Optional<ContainerStatus> runtime(Pod pod) {
    return pod.getStatus() == null || pod.getStatus().getContainerStatuses() == null
        ? Optional.empty()
        : pod.getStatus().getContainerStatuses().stream()
            .filter(c -> c.getName().equals(RuntimeContainer.NAME))
            .findFirst();
  }

  /** One run of a container: another after every restart. */
  private static String container(Pod pod) {
    return pod.getMetadata().getUid()
        + "/"
        + runtime(pod).map(c -> Objects.requireNonNullElse(c.getRestartCount(), 0)).orElse(0);
  }
}
