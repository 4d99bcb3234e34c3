package dev.kvdrive.observed;

import io.fabric8.kubeapitest.KubeAPIServerConfigBuilder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/**
 * The programs of a real API server (etcd and kube-apiserver, no controllers), which {@code
 * e2e/cluster/native/build.sh} builds. Where they have not been built, tests that need them are
 * skipped; where {@value #REQUIRED} is set they must have been.
 */
public final class ApiServerPrograms {
  /** Set by {@code ./kvdrive test} once it has built the programs. */
  public static final String REQUIRED = "KVDRIVE_REQUIRE_API_SERVER";

  private static final String VERSION = "1.34.4";

  private ApiServerPrograms() {}

  /** What starts a server; skips the test where there are no programs. */
  public static KubeAPIServerConfigBuilder configuration() {
    assumeBuilt();
    return new KubeAPIServerConfigBuilder()
        .withTestDir(cache().toString())
        .withApiServerVersion(VERSION)
        .withOfflineMode(true)
        .withUpdateKubeConfig(false)
        .withStartupTimeout(60_000);
  }

  /** Skips the test where there are no programs. */
  public static void assumeBuilt() {
    Path program = cache().resolve("k8s/" + VERSION + "-linux-amd64/kube-apiserver");
    if (System.getenv(REQUIRED) == null) {
      Assumptions.assumeTrue(
          Files.isExecutable(program),
          () ->
              "no API server: " + program + " has not been built (./kvdrive cluster up builds it)");
    }
  }

  /** Where the programs are, and what other projects publish of their kinds. */
  public static Path cache() {
    String configured = System.getenv("KVDRIVE_CLUSTER_CACHE");
    return configured == null
        ? Path.of(System.getProperty("user.home"), ".cache", "kvdrive-cluster")
        : Path.of(configured);
  }
}
