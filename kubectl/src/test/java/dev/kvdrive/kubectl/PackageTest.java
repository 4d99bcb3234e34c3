package dev.kvdrive.kubectl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The plugin as it is packed: what is in it, that it starts, and what krew is told. */
class PackageTest {
  private static final String VERSION = System.getProperty("kvdrive.version", "");
  private static final String AMD64 = "kubectl-kvdrive-" + VERSION + "-linux-amd64.tar.gz";
  private static final String PORTABLE = "kubectl-kvdrive-" + VERSION + ".tar.gz";
  private static final String AT = "https://downloads.example.com/v1";

  @TempDir private static Path folder;

  private record Ended(int code, String output) {}

  @BeforeAll
  static void pack() throws IOException, InterruptedException {
    assumeTrue(
        System.getProperty("os.name").equals("Linux")
            && System.getProperty("os.arch").equals("amd64")
            && Files.isExecutable(Path.of(System.getProperty("java.home"), "bin", "jlink")),
        "a Java for Linux on amd64 is linked on such a machine, by a JDK with jlink");
    for (String time : List.of("first", "second")) {
      Ended packed =
          run(Map.of(), "./package.sh", "--built", folder.resolve(time).toString(), "--at", AT);
      assertThat(packed.code()).as(packed.output()).isZero();
    }
    for (String archive : List.of(AMD64, PORTABLE)) {
      Path to = Files.createDirectories(folder.resolve("of-" + archive));
      Ended unpacked =
          run(
              Map.of(),
              "tar",
              "-xzf",
              folder.resolve("first").resolve(archive).toString(),
              "-C",
              to.toString());
      assertThat(unpacked.code()).as(unpacked.output()).isZero();
    }
  }

  private static Ended run(Map<String, String> environment, String... command)
      throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().putAll(environment);
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Ended(process.waitFor(), output);
  }

  private static Path unpacked(String archive) {
    return folder.resolve("of-" + archive);
  }

  private static List<String> names(Path in) throws IOException {
    try (Stream<Path> files = Files.list(in)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void theSameSourcesMakeTheSameBytes() throws IOException {
    for (String file : List.of(AMD64, PORTABLE, "plugin.yaml")) {
      assertThat(Files.mismatch(folder.resolve("first/" + file), folder.resolve("second/" + file)))
          .as(file)
          .isEqualTo(-1);
    }
  }

  @Test
  void anArchiveHasThePluginItsJarsAndTheLicences() throws IOException {
    assertThat(names(unpacked(PORTABLE)))
        .containsExactly("LICENSE", "NOTICES.txt", "kubectl-kvdrive", "lib");
    assertThat(names(unpacked(AMD64)))
        .containsExactly("LICENSE", "NOTICES.txt", "java", "kubectl-kvdrive", "lib");
    assertThat(unpacked(AMD64).resolve("java/legal/java.base/LICENSE")).isNotEmptyFile();
    assertThat(Files.readString(unpacked(AMD64).resolve("LICENSE"))).contains("Apache License");
    List<String> jars = names(unpacked(AMD64).resolve("lib"));
    assertThat(names(unpacked(PORTABLE).resolve("lib"))).isEqualTo(jars);
    assertThat(Files.readAllLines(unpacked(AMD64).resolve("NOTICES.txt")).stream().skip(2))
        .extracting(line -> line.split("\t", 2)[0])
        .isEqualTo(jars);
  }

  @Test
  void noEngineIsInIt() throws IOException {
    assertThat(names(unpacked(AMD64).resolve("lib")))
        .contains("kvdrive-cli-" + VERSION + ".jar", "kvdrive-planner-" + VERSION + ".jar")
        .noneMatch(
            jar ->
                jar.matches(
                    "(kvdrive-(engine|server|bench|backend)|jcuda|spring|netty|reactor|ejml|logback).*"));
    assertThat(Files.size(folder.resolve("first").resolve(AMD64))).isLessThan(80L << 20);
    assertThat(Files.size(folder.resolve("first").resolve(PORTABLE))).isLessThan(40L << 20);
  }

  /** krew unpacks nothing but files and folders. */
  @Test
  void nothingIsALinkAndNothingIsWrittenByOthers() throws IOException, InterruptedException {
    Ended listed = run(Map.of(), "tar", "-tvzf", folder.resolve("first").resolve(AMD64).toString());
    assertThat(listed.output().lines().toList())
        .hasSizeGreaterThan(50)
        .allMatch(line -> line.matches("[-d]rw.(r-.){2} 0/0 .*"));
  }

  @Test
  void krewIsToldWhatEachMachineGets() throws IOException, NoSuchAlgorithmException {
    JsonNode manifest =
        new YAMLMapper().readTree(Files.readString(folder.resolve("first/plugin.yaml")));
    assertThat(manifest.path("apiVersion").asText())
        .isEqualTo("krew.googlecontainertools.github.com/v1alpha2");
    assertThat(manifest.path("kind").asText()).isEqualTo("Plugin");
    assertThat(manifest.path("metadata").path("name").asText()).isEqualTo("kvdrive");
    JsonNode spec = manifest.path("spec");
    assertThat(spec.path("version").asText()).isEqualTo("v" + VERSION);
    assertThat(spec.path("shortDescription").asText()).hasSizeBetween(10, 50);
    assertThat(spec.path("caveats").asText()).contains("pods/proxy", "Java 25");
    List<String> archives = List.of(AMD64, PORTABLE);
    assertThat(spec.path("platforms")).hasSize(2);
    for (int i = 0; i < archives.size(); i++) {
      JsonNode platform = spec.path("platforms").get(i);
      assertThat(platform.path("uri").asText()).isEqualTo(AT + "/" + archives.get(i));
      assertThat(platform.path("sha256").asText())
          .isEqualTo(sha256(folder.resolve("first").resolve(archives.get(i))));
      assertThat(platform.path("bin").asText()).isEqualTo("kubectl-kvdrive");
    }
    JsonNode first = spec.path("platforms").get(0).path("selector").path("matchLabels");
    assertThat(first.path("os").asText()).isEqualTo("linux");
    assertThat(first.path("arch").asText()).isEqualTo("amd64");
    JsonNode second = spec.path("platforms").get(1).path("selector").path("matchExpressions");
    assertThat(second.get(0).path("key").asText()).isEqualTo("os");
    assertThat(second.get(0).path("values")).hasSize(2);
  }

  private static String sha256(Path file) throws IOException, NoSuchAlgorithmException {
    return HexFormat.of()
        .formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file)));
  }

  @Test
  void itStartsFromALinkWithItsOwnJavaAndPlans() throws IOException, InterruptedException {
    Path link =
        Files.createSymbolicLink(
            folder.resolve("kubectl-kvdrive"), unpacked(AMD64).resolve("kubectl-kvdrive"));
    Map<String, String> bare = Map.of("PATH", "/usr/bin:/bin", "JAVA_HOME", "/none");
    Ended help = run(bare, link.toString(), "status", "--help");
    assertThat(help.code()).as(help.output()).isZero();
    assertThat(help.output()).startsWith("Usage: kubectl kvdrive status [");
    Ended plan = run(bare, link.toString(), "plan", "-f", "../examples/smallest.yaml", "--json");
    assertThat(plan.code()).as(plan.output()).isZero();
    Ended byOptions =
        run(
            bare,
            link.toString(),
            "plan",
            "--model",
            "builtin:kvdrive-tiny-32k",
            "--context",
            "4096",
            "--gpu",
            "1Mi",
            "--dram",
            "64Mi");
    assertThat(byOptions.code()).as(byOptions.output()).isEqualTo(3);
  }

  /** A client of API servers is loaded from what is packed, and its TLS with it. */
  @Test
  void itAsksAClusterWithItsOwnJava() throws IOException, InterruptedException {
    Path kubeconfig =
        Files.writeString(
            folder.resolve("kubeconfig"),
            """
            apiVersion: v1
            kind: Config
            current-context: test
            clusters: [{name: test, cluster: {server: "https://127.0.0.1:1"}}]
            contexts: [{name: test, context: {cluster: test, user: test}}]
            users: [{name: test, user: {token: none}}]
            """);
    List<Ended> ended = new ArrayList<>();
    for (String archive : List.of(AMD64, PORTABLE)) {
      ended.add(
          run(
              Map.of("KUBECONFIG", kubeconfig.toString()),
              unpacked(archive).resolve("kubectl-kvdrive").toString(),
              "status"));
    }
    assertThat(ended)
        .allSatisfy(
            one -> {
              assertThat(one.code()).isEqualTo(1);
              assertThat(one.output().lines().toList()).hasSize(1);
              assertThat(one.output())
                  .startsWith(
                      "kvdrive: the API server https://127.0.0.1:1/ of context test cannot be reached: ");
            });
  }

  @Test
  void withoutAnyJavaThePortableOneSaysWhatToDo() throws IOException, InterruptedException {
    Path tools = Files.createDirectories(folder.resolve("tools"));
    for (String tool : List.of("sh", "sed", "dirname", "readlink")) {
      Files.createSymbolicLink(tools.resolve(tool), Path.of("/usr/bin", tool));
    }
    Ended ended =
        run(
            Map.of("PATH", tools.toString(), "JAVA_HOME", "/none"),
            unpacked(PORTABLE).resolve("kubectl-kvdrive").toString(),
            "status");
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.output())
        .startsWith("kvdrive: no Java 25 or newer in JAVA_HOME or on the PATH.");
  }
}
