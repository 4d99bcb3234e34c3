package dev.kvdrive.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Releases are recorded from a commit, once, and versions are set everywhere; in a repository of
 * its own.
 */
class ReleaseScriptsTest {
  @TempDir private Path folder;

  @BeforeEach
  void repository() throws Exception {
    Path root = Path.of("..").toAbsolutePath().normalize();
    for (String file :
        List.of(
            "releases/record.sh",
            "releases/version.sh",
            "e2e/release.sh",
            "e2e/cluster/native/lib.sh",
            "pom.xml",
            "e2e/pom.xml",
            "docs/kubernetes.md",
            "helm/kvdrive/Chart.yaml",
            "helm/kvdrive/values.yaml",
            "helm/kvdrive/values.schema.json",
            "crds/src/main/crds/inferencedeployments.kvdrive.dev.yaml",
            "crds/src/main/crds/inferenceclasses.kvdrive.dev.yaml",
            "examples/README.md",
            "examples/smallest.yaml")) {
      Files.createDirectories(folder.resolve(file).getParent());
      Files.copy(root.resolve(file), folder.resolve(file));
    }
    git("init", "--quiet");
    git("add", "--all");
    assertThat(run("releases/version.sh", "7.1.0").status()).isZero();
    commit();
  }

  @Test
  void aReleaseIsWhatItsCommitHolds() throws Exception {
    String commit = git("rev-parse", "HEAD").strip();
    String chart = Files.readString(folder.resolve("helm/kvdrive/values.yaml"));
    Files.writeString(folder.resolve("helm/kvdrive/values.yaml"), "later: true\n");
    commit();

    Ended ended = run("releases/record.sh", "7.1.0", commit);

    assertThat(ended.status()).as(ended.said()).isZero();
    Path release = folder.resolve("releases/7.1.0");
    try (Stream<Path> files = Files.walk(release)) {
      assertThat(files.filter(Files::isRegularFile).map(f -> release.relativize(f).toString()))
          .containsExactlyInAnyOrder(
              "commit",
              "crds/inferencedeployments.kvdrive.dev.yaml",
              "crds/inferenceclasses.kvdrive.dev.yaml",
              "chart/values.yaml",
              "chart/values.schema.json",
              "examples/smallest.yaml");
    }
    assertThat(release.resolve("commit")).hasContent(commit);
    assertThat(release.resolve("chart/values.yaml")).hasContent(chart);
  }

  @Test
  void whatWasReleasedDoesNotChange() throws Exception {
    assertThat(run("releases/record.sh", "7.1.0").status()).isZero();
    Files.writeString(folder.resolve("helm/kvdrive/values.yaml"), "later: true\n");
    commit();

    Ended again = run("releases/record.sh", "7.1.0");
    assertThat(again.status()).isEqualTo(1);
    assertThat(again.said()).contains("releases/7.1.0 exists", "cut the next version");
    Ended back = run("releases/version.sh", "7.1.0-SNAPSHOT");
    assertThat(back.status()).isEqualTo(1);
    assertThat(back.said()).contains("7.1.0 has been released", "later one");
    Ended before = run("releases/version.sh", "7.0.9");
    assertThat(before.status()).isEqualTo(1);
    assertThat(before.said()).contains("7.1.0 has been released", "7.0.9 is before it");
    assertThat(run("releases/version.sh", "7.10.0").status()).isZero();
  }

  @Test
  void aReleaseIsNoSnapshotAndAllOfItsModulesAreOfItsVersion() throws Exception {
    assertThat(run("releases/version.sh", "7.2.0-SNAPSHOT").status()).isZero();
    commit();
    Ended snapshot = run("releases/record.sh", "7.2.0");
    assertThat(snapshot.status()).isEqualTo(1);
    assertThat(snapshot.said()).contains("pom.xml is of another version than 7.2.0");

    assertThat(run("releases/version.sh", "7.2.0").status()).isZero();
    Path module = folder.resolve("e2e/pom.xml");
    Files.writeString(module, Files.readString(module).replace("7.2.0", "7.1.0"));
    commit();
    Ended module71 = run("releases/record.sh", "7.2.0");
    assertThat(module71.status()).isEqualTo(1);
    assertThat(module71.said()).contains("e2e/pom.xml is of another version");
    assertThat(folder.resolve("releases/7.2.0")).doesNotExist();
  }

  @Test
  void numbersOfVersionsHaveNoLeadingZeros() throws Exception {
    assertThat(run("releases/version.sh", "07.2.0").said()).contains("'07.2.0' is no version");
    assertThat(run("releases/record.sh", "7.02.0").said()).contains("'7.02.0' is no version");
  }

  @Test
  void aReleaseOfAnotherVersionThanItsCommitIsRefused() throws Exception {
    Ended ended = run("releases/record.sh", "7.2.0");
    assertThat(ended.status()).isEqualTo(1);
    assertThat(ended.said()).contains("the chart is 7.1.0", "releases/version.sh 7.2.0");
    try (Stream<Path> files = Files.list(folder.resolve("releases"))) {
      assertThat(files.map(f -> f.getFileName().toString()))
          .containsExactlyInAnyOrder("record.sh", "version.sh");
    }
    assertThat(run("releases/record.sh", "7.1").said()).contains("'7.1' is no version");
    assertThat(run("releases/record.sh", "7.1.0", "nowhere").said()).contains("no commit nowhere");
  }

  @Test
  void versionsAreSetEverywhere() throws Exception {
    Ended ended = run("releases/version.sh", "7.2.0-SNAPSHOT");
    assertThat(ended.status()).as(ended.said()).isZero();
    for (String pom : List.of("pom.xml", "e2e/pom.xml")) {
      assertThat(folder.resolve(pom))
          .content()
          .contains("<version>7.2.0-SNAPSHOT</version>")
          .doesNotContain("7.1.0");
    }
    assertThat(folder.resolve("helm/kvdrive/Chart.yaml"))
        .content()
        .contains("\nversion: 7.2.0\n", "\nappVersion: 7.2.0\n");
    assertThat(folder.resolve("docs/kubernetes.md"))
        .content()
        .contains("kubectl-kvdrive-7.2.0-SNAPSHOT-linux-amd64.tar.gz");
  }

  @Test
  void aReleaseWhoseCommitIsNotAtHandIsToldAndHasAStatusOfItsOwn() throws Exception {
    Files.createDirectories(folder.resolve("releases/7.0.0"));
    String missing = "0123456789abcdef0123456789abcdef01234567";
    Files.writeString(folder.resolve("releases/7.0.0/commit"), missing + "\n");

    Ended ended = run("e2e/release.sh", "7.0.0");
    assertThat(ended.status()).as(ended.said()).isEqualTo(3);
    assertThat(ended.said()).contains(missing, "git fetch --unshallow");
    Ended unknown = run("e2e/release.sh", "6.0.0");
    assertThat(unknown.status()).isEqualTo(1);
    assertThat(unknown.said()).contains("no release 6.0.0", "7.0.0");
  }

  private record Ended(int status, String said) {}

  private void commit() throws Exception {
    git("add", "--all");
    git(
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.com",
        "commit",
        "--quiet",
        "-m",
        "A");
  }

  private String git(String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of("git"));
    command.addAll(List.of(arguments));
    Ended ended = ended(command);
    assertThat(ended.status()).as(ended.said()).isZero();
    return ended.said();
  }

  private Ended run(String script, String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of("bash", script));
    command.addAll(List.of(arguments));
    return ended(command);
  }

  private Ended ended(List<String> command) throws IOException, InterruptedException {
    ProcessBuilder builder =
        new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true);
    builder.environment().put("KVDRIVE_CLUSTER_CACHE", folder.resolve("cache").toString());
    Process process = builder.start();
    process.getOutputStream().close();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Ended(process.waitFor(), said);
  }
}
