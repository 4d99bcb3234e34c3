package dev.kvdrive.e2e;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * {@code ./kvdrive test} ends as the tests did, and two commands at once build once. It runs in a
 * folder of its own, where small scripts stand for Maven, the cluster's programs and the end-to-end
 * scenarios.
 */
class EntryScriptTest {
  /** More than a pipe holds: what reads only the beginning of them ends what writes them. */
  private static final int REPORTS = 3_000;

  @TempDir private Path folder;

  @BeforeEach
  void copy() throws IOException {
    script("kvdrive", Files.readString(Path.of("..", "kvdrive")));
    script("e2e/cluster/native/build.sh", "exit 0");
    script("e2e/cluster/helm.sh", "exit 0");
    script("e2e/run.sh", "echo the scenarios ran");
  }

  @Test
  void theSlowestClassesAreToldHoweverManyThereAre() throws Exception {
    script("bin/mvn", reports() + "exit 0");
    Ended ended = test();
    assertEquals(0, ended.status(), ended.said());
    assertTrue(ended.said().contains("the scenarios ran"), ended.said());
    assertEquals(
        10,
        Pattern.compile("(?m)^ *\\d+ s  some\\.quite\\.long\\.name")
            .matcher(ended.said())
            .results()
            .count(),
        ended.said());
    assertTrue(ended.said().contains(REPORTS + " s  some.quite.long.name"), ended.said());
  }

  @Test
  void failedTestsEndItAsTheyEndedAndRunNoScenario() throws Exception {
    script("bin/mvn", reports() + "exit 3");
    Ended ended = test();
    assertEquals(3, ended.status(), ended.said());
    assertTrue(ended.said().contains("The slowest test classes"), ended.said());
    assertFalse(ended.said().contains("the scenarios ran"), ended.said());
  }

  @Test
  void ofTwoCommandsAtOnceOneBuildsAndTheOtherWaits() throws Exception {
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/flock")), "without flock both build");
    for (String module : new String[] {"crds", "feasibility", "runtime"}) {
      Files.createDirectories(folder.resolve(module));
    }
    // It fails if another one is at it, as Maven would.
    script("bin/mvn", "mkdir building || exit 1; sleep 0.3; rmdir building; echo built >>builds");
    Process first = start("eval", "--version");
    Process second = start("eval", "--version");
    Ended[] both = {ended(first), ended(second)};
    String said = both[0].said() + both[1].said();
    assertEquals("built\n", Files.readString(folder.resolve("builds")), said);
    assertFalse(said.contains("the build failed"), said);
    // There is nothing to run in this folder: both came as far as Java.
    for (Ended ended : both) {
      assertTrue(ended.said().contains("dev.kvdrive.cli.KvDrive"), said);
    }
  }

  private record Ended(int status, String said) {}

  private Ended test() throws IOException, InterruptedException {
    return ended(start("test"));
  }

  private Process start(String... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of("bash", "kvdrive"));
    command.addAll(List.of(arguments));
    ProcessBuilder builder =
        new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true);
    builder.environment().merge("PATH", "", (path, none) -> folder.resolve("bin") + ":" + path);
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    return builder.start();
  }

  private static Ended ended(Process process) throws IOException, InterruptedException {
    process.getOutputStream().close();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Ended(process.waitFor(), said);
  }

  /** A report of each of many classes; class N took N seconds. */
  private static String reports() {
    return """
    mkdir -p module/target/surefire-reports
    for ((n = 1; n <= %d; n++)); do
      printf '<testsuite x="" name="some.quite.long.name.of.a.Test%%d" time="%%d.5">\\n' $n $n \\
        >module/target/surefire-reports/TEST-$n.xml
    done
    """
        .formatted(REPORTS);
  }

  private void script(String name, String text) throws IOException {
    Path script = folder.resolve(name);
    Files.createDirectories(script.getParent());
    Files.writeString(script, text.startsWith("#!") ? text : "#!/usr/bin/env bash\n" + text + "\n");
    assertTrue(script.toFile().setExecutable(true));
  }
}
