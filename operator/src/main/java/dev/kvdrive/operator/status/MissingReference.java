package dev.kvdrive.operator.status;

import dev.kvdrive.operator.status.PodTrouble.Kind;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.SecretKeySelector;
import io.fabric8.kubernetes.api.model.Volume;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A Secret or ConfigMap, or a key in one, that a pod needs and that is not there. The operator may
 * not read Secrets: it learns of it from the kubelet's words and the pod's own specification.
 */
final class MissingReference {
  private static final Pattern OBJECT =
      Pattern.compile("\\b(secret|configmap) \"([^\"]+)\" not found");
  private static final Pattern KEY_OF_VOLUME =
      Pattern.compile(
          "volume \"([^\"]+)\" : .*references non-existent (?:secret|config) key: (\\S+)");
  private static final Pattern KEY_OF_VARIABLE =
      Pattern.compile("couldn't find key (\\S+) in (Secret|ConfigMap) [^/\\s]+/(\\S+)");

  private MissingReference() {}

  /** What the kubelet's {@code words} about {@code pod} say is missing, if anything. */
  static Optional<PodTrouble> in(String words, Pod pod) {
    Matcher object = OBJECT.matcher(words);
    if (object.find()) {
      String kind = object.group(1).equals("secret") ? "Secret" : "ConfigMap";
      return Optional.of(noObject(pod, kind, object.group(2)));
    }
    Matcher variable = KEY_OF_VARIABLE.matcher(words);
    if (variable.find()) {
      return Optional.of(noKey(pod, variable.group(2), variable.group(3), variable.group(1)));
    }
    Matcher volume = KEY_OF_VOLUME.matcher(words);
    return volume.find()
        ? volumes(pod)
            .filter(v -> v.getName().equals(volume.group(1)))
            .findFirst()
            .flatMap(v -> noKeyOf(v, volume.group(2), pod))
        : Optional.empty();
  }

  private static Optional<PodTrouble> noKeyOf(Volume volume, String key, Pod pod) {
    if (volume.getSecret() != null) {
      return Optional.of(noKey(pod, "Secret", volume.getSecret().getSecretName(), key));
    }
    return volume.getConfigMap() == null
        ? Optional.empty()
        : Optional.of(noKey(pod, "ConfigMap", volume.getConfigMap().getName(), key));
  }

  private static PodTrouble noObject(Pod pod, String kind, String name) {
    List<String> keys = kind.equals("Secret") ? keysOfSecret(pod, name) : List.of();
    return new PodTrouble(
        kind + "NotFound",
        ("Pod %s cannot start: there is no %s %s in its namespace%s. Create it, and the pod goes on"
                + " by itself.")
            .formatted(
                pod.getMetadata().getName(),
                kind,
                name,
                keys.isEmpty() ? "" : "; it should have the key " + String.join(", ", keys)),
        concern(pod, kind, name),
        true);
  }

  private static PodTrouble noKey(Pod pod, String kind, String name, String key) {
    return new PodTrouble(
        kind + "KeyNotFound",
        "Pod %s cannot start: %s %s has no key %s. Add it, and the pod goes on by itself."
            .formatted(pod.getMetadata().getName(), kind, name, key),
        concern(pod, kind, name),
        true);
  }

  /** The only Secret in the environment is the model hub's token; the others are mounted. */
  private static Kind concern(Pod pod, String kind, String name) {
    return kind.equals("Secret") && selectors(pod).anyMatch(s -> name.equals(s.getName()))
        ? Kind.MODEL
        : Kind.RUNTIME;
  }

  private static List<String> keysOfSecret(Pod pod, String name) {
    Stream<String> mounted =
        volumes(pod)
            .filter(v -> v.getSecret() != null && name.equals(v.getSecret().getSecretName()))
            .flatMap(v -> v.getSecret().getItems().stream())
            .map(item -> item.getKey());
    Stream<String> variables =
        selectors(pod).filter(s -> name.equals(s.getName())).map(SecretKeySelector::getKey);
    return Stream.concat(mounted, variables).distinct().sorted().toList();
  }

  private static Stream<Volume> volumes(Pod pod) {
    return Optional.ofNullable(pod.getSpec()).map(PodSpec::getVolumes).stream()
        .flatMap(List::stream);
  }

  private static Stream<SecretKeySelector> selectors(Pod pod) {
    return Optional.ofNullable(pod.getSpec()).map(PodSpec::getContainers).stream()
        .flatMap(List::stream)
        .map(Container::getEnv)
        .flatMap(List::stream)
        .map(EnvVar::getValueFrom)
        .filter(Objects::nonNull)
        .map(source -> source.getSecretKeyRef())
        .filter(Objects::nonNull);
  }
}
