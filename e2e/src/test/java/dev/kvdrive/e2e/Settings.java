package dev.kvdrive.e2e;

import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What {@code e2e/run.sh} tells the tests, by system properties {@code kvdrive.e2e.*}. The cluster
 * itself is the one of the environment's KUBECONFIG.
 *
 * @param mode where the tests run, for people: native, kind or kubeconfig
 * @param root the repository
 * @param helm the helm program
 * @param chart where helm finds the chart, and with which options
 * @param operatorImage image of the operator, present in the cluster or pullable
 * @param runtimeImage image of the runtime, likewise
 * @param pullPolicy imagePullPolicy of both
 * @param storageClass class of volumes with a real size, for the NVMe tier
 * @param volumes command that makes or recycles such volumes; empty when the cluster makes them
 * @param gpus command that offers cards to the cluster; empty when it cannot
 * @param registry command that starts a registry which the cluster pulls from; empty when it cannot
 */
record Settings(
    String mode,
    Path root,
    Path helm,
    List<String> chart,
    String operatorImage,
    String runtimeImage,
    String pullPolicy,
    String storageClass,
    List<String> volumes,
    List<String> gpus,
    List<String> registry) {

  static Settings read() {
    return new Settings(
        property("mode", null),
        Path.of(property("root", null)),
        Path.of(property("helm", null)),
        command("chart"),
        property("operatorImage", null),
        property("runtimeImage", null),
        property("pullPolicy", null),
        property("storageClass", null),
        command("volumes"),
        command("gpus"),
        command("registry"));
  }

  private static List<String> command(String name) {
    String words = property(name, "");
    return words.isEmpty() ? List.of() : List.of(words.split(" "));
  }

  static String property(String name, @Nullable String otherwise) {
    String value = System.getProperty("kvdrive.e2e." + name, otherwise);
    if (value == null) {
      throw new IllegalStateException(
          "kvdrive.e2e." + name + " is not set: start the tests with e2e/run.sh");
    }
    return value;
  }
}
