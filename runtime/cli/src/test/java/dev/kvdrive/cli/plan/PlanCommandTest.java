package dev.kvdrive.cli.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.ContextLimit;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code ./kvdrive plan} from options and from manifests, for people and for programs. */
class PlanCommandTest {
  private static final String TINY = "--model builtin:kvdrive-tiny-32k --context 16384 ";
  private static final Path EXAMPLES = Path.of("../../examples");

  @TempDir Path folder;

  private record Ended(int code, String out, List<String> err) {}

  private static Ended run(List<String> args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = new CommandLine(new PlanCommand());
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    line.setExecutionExceptionHandler(
        (failure, command, parsed) -> {
          command.getErr().println(failure.getMessage());
          return 1;
        });
    line.setParameterExceptionHandler(
        (failure, ignored) -> {
          failure.getCommandLine().getErr().println(failure.getMessage());
          return 2;
        });
    int code = line.execute(args.toArray(String[]::new));
    return new Ended(code, out.toString(), err.toString().lines().toList());
  }

  private static Ended run(String args) {
    return run(List.of(args.split(" +")));
  }

  private Ended planOf(String manifest, String... more) throws IOException {
    List<String> args = new ArrayList<>(List.of("-f"));
    args.add(Files.writeString(folder.resolve("manifest.yaml"), manifest).toString());
    args.addAll(List.of(more));
    return run(args);
  }

  private static String manifest(String model, String more) {
    return """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceDeployment
        metadata: {name: contracts}
        spec:
          model: {uri: "%s"}
          contextLength: 16384
          tiers:
            gpu: {memory: 96Mi}
            dram: {size: 64Mi}
            nvme: {size: 512Mi}
        %s
        """
        .formatted(model, more);
  }

  @Test
  void aTableHasTheVerdictEveryTierAndThePod() {
    Ended ended = run(TINY + "--concurrency 2 --gpu 96Mi --dram 64Mi --nvme 512Mi --device cpu");
    assertThat(ended.code()).isZero();
    assertThat(ended.out())
        .contains("at 16,384 tokens x 2 fits:")
        .containsPattern("gpu +weights")
        .containsPattern("gpu +index")
        .containsPattern("gpu +window")
        .containsPattern("gpu +total +.* of 96.0 MiB budgeted")
        .containsPattern("dram +staging")
        .containsPattern("dram +frames")
        .containsPattern("nvme +extents")
        .containsPattern(
            "engine +KV cache +1.55 KiB +per token: 6 layers x 2 KV heads x 1056 B for 8 tokens in int8; in the window bf16")
        .containsPattern("pod +heap +\\d+Mi +-Xmx\\d+m")
        .containsPattern("pod +memory +\\d+Mi +request and limit: heap .*\\(an arena\\)")
        .containsPattern("pod +volume +512Mi");
  }

  @Test
  void budgetAutoIsPlannedByItsBoundAndRefusedWhereNothingKnowsShares() {
    String options = TINY + "--gpu 96Mi --dram 64Mi --nvme 512Mi ";
    Ended auto = run(options + "--budget auto --quality 99% --budget-bound 12.5%");
    assertThat(auto.code()).as(auto.out()).isZero();
    assertThat(auto.out()).contains("selected per step at auto 99 %, at most 12.5 %");
    Ended json = run(options + "--budget auto --json");
    assertThat(json.out()).contains("\"budget\" : 0.25", "\"quality\" : 0.95");
    Ended quest = run(options + "--budget auto --policy quest");
    assertThat(quest.code()).isEqualTo(2);
    assertThat(quest.err().getFirst())
        .contains("policy quest knows no shares of attention", "take the policy kvdrive");
  }

  @Test
  void noWritesADayAreNoLimitAndSoRefused() {
    Ended none = run(TINY + "--gpu 96Mi --dram 64Mi --nvme 512Mi --nvme-writes-per-day 0");
    assertThat(none.code()).isEqualTo(2);
    assertThat(none.err().getFirst()).contains("would let nothing be written; leave it out");
  }

  @Test
  void keysOfEncryptedExtentsAreInThePlanAndNothingIsEncryptedWithoutNvme() {
    String tight = TINY + "--gpu 96Mi --dram 24Mi ";
    Ended encrypted = run(tight + "--nvme 512Mi --nvme-encryption aes-gcm");
    assertThat(encrypted.code()).as(encrypted.out()).isZero();
    assertThat(encrypted.out())
        .containsPattern("dram +keys +.* extents x 48 B")
        .containsPattern("pod +encryption +aes-gcm");
    assertThat(run(tight + "--nvme 512Mi --nvme-encryption aes-gcm --json").out())
        .contains("\"nvmeEncryption\" : \"AES_GCM\"");
    assertThat(run(tight + "--nvme 512Mi").out()).doesNotContain("keys  ", "encryption");

    Ended without = run(TINY + "--gpu 96Mi --dram 64Mi --nvme-encryption aes-gcm");
    assertThat(without.code()).isEqualTo(2);
    assertThat(without.err().getFirst()).contains("goes with an NVMe tier");
    Ended unknown = run(tight + "--nvme 512Mi --nvme-encryption rot13");
    assertThat(unknown.code()).isEqualTo(2);
    assertThat(unknown.err().getFirst()).contains("with none or aes-gcm, not with rot13");
  }

  @Test
  void anIndexThatNeedsACalibrationIsRefusedWhereNoneComes() throws IOException {
    Path model = folder.resolve("model.gguf");
    try (InputStream in =
        ModelSource.class.getResourceAsStream("/models/kvdrive-tiny-32k-q8_0.gguf")) {
      Files.copy(Objects.requireNonNull(in), model);
    }
    String plan = "--model " + model + " --context 4096 --gpu 130Mi --dram 64Mi --index ";
    Ended planes = run(plan + "planes-96");
    assertThat(planes.code()).isEqualTo(2);
    assertThat(planes.err().getFirst())
        .contains("needs a calibration of the model", "run ./kvdrive calibrate");
    assertThat(run(plan + "two-bit").code()).isZero();
  }

  @Test
  void ropeScalingExtendsTheContextOfAPlan() {
    String beyond = "--model builtin:kvdrive-tiny-32k --context 131072 ";
    String tiers = "--gpu 1Gi --dram 1Gi --nvme 4Gi";
    Ended without = run(beyond + tiers);
    assertThat(without.code()).isEqualTo(PlanCommand.INFEASIBLE);
    assertThat(without.out()).contains("trained for 32,768 tokens").contains("Rope scaling");
    Ended with = run(beyond + "--rope-scaling yarn --rope-factor 4 " + tiers);
    assertThat(with.code()).isZero();
    assertThat(with.out()).contains("at 131,072 tokens x 1 fits:");
    Ended less = run(beyond + "--rope-scaling linear --rope-factor 2 " + tiers);
    assertThat(less.code()).isEqualTo(PlanCommand.INFEASIBLE);
    assertThat(less.out())
        .contains("65,536 tokens")
        .contains("the rope scaling that was asked for");
  }

  @Test
  void ropeScalingOfAManifestIsThatOfTheOptions() throws IOException {
    String manifest =
        manifest("builtin:kvdrive-tiny-32k", "")
            .replace("32k\"}", "32k\", ropeScaling: {type: yarn, factor: 4}}")
            .replace("contextLength: 16384", "contextLength: 131072")
            .replace("96Mi", "1Gi")
            .replace("64Mi", "1Gi")
            .replace("512Mi", "4Gi");
    assertThat(planOf(manifest).out()).contains("at 131,072 tokens x 1 fits:");
    assertThat(planOf(manifest.replace("factor: 4", "factor: 3")).out()).contains("98,304 tokens");
    assertThat(planOf(manifest.replace("factor: 4", "factor: 1")).out())
        .contains("spec.model.ropeScaling: the factor");
    assertThat(planOf(manifest.replace("yarn", "dynamic")).err())
        .anyMatch(
            line -> line.contains("spec.model.ropeScaling.type must be one of [linear, yarn]"));
    assertThat(run("-f none.yaml --rope-scaling yarn").err())
        .anyMatch(line -> line.contains("--rope-scaling and -f exclude each other"));
  }

  @Test
  void jsonAddsUp() {
    Ended ended = run(TINY + "--gpu 96Mi --dram 64Mi --nvme 512Mi --device CPU --json");
    JsonNode plan = JsonMapper.shared().readTree(ended.out());
    assertThat(plan.at("/feasible").asBoolean()).isTrue();
    assertThat(plan.at("/engine/bytesPerToken").asLong()).isEqualTo(6 * 2 * 1056 / 8);
    JsonNode pod = plan.at("/pod");
    assertThat(pod.at("/memoryBytes").asLong())
        .isEqualTo(
            pod.at("/heapBytes").asLong()
                + pod.at("/directBytes").asLong()
                + pod.at("/overheadBytes").asLong()
                + ((96L + 64L) << 20));
    assertThat(pod.at("/requests/bodyBytes").asLong() + pod.at("/requests/workBytes").asLong())
        .isPositive()
        .isLessThan(pod.at("/heapBytes").asLong());
    long gpu = 0;
    for (JsonNode demand : plan.at("/demands")) {
      gpu += demand.at("/tier").stringValue().equals("gpu") ? demand.at("/bytes").asLong() : 0;
    }
    assertThat(gpu).isPositive().isLessThanOrEqualTo(96L << 20);
  }

  @Test
  void whatDoesNotFitHasItsOwnStatusAndSaysWhatWould() {
    Ended ended = run(TINY + "--concurrency 64 --gpu 96Mi --dram 64Mi");
    assertThat(ended.code()).isEqualTo(PlanCommand.INFEASIBLE);
    assertThat(ended.out())
        .contains(
            "does not fit:", "  - GPU memory: at least", "What would fit:", "a concurrency of");
    JsonNode plan =
        JsonMapper.shared()
            .readTree(run(TINY + "--concurrency 64 --gpu 96Mi --dram 64Mi --json").out());
    assertThat(plan.at("/shortfalls").size()).isPositive();
    JsonNode first = plan.at("/alternatives/0/request");
    Ended again =
        run(
            "--model builtin:kvdrive-tiny-32k --context %s --concurrency %s --gpu %s --dram %s --nvme %s"
                .formatted(
                    first.at("/contextLength"),
                    first.at("/concurrency"),
                    first.at("/gpuBytes"),
                    first.at("/dramBytes"),
                    first.at("/nvmeBytes")));
    assertThat(again.code()).isZero();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--context 4096 --gpu 1Gi --dram 1Gi                        | missing --model",
        "--model builtin:kvdrive-tiny-32k                            | missing --context, --gpu, --dram",
        "-f a.yaml --context 4096                                    | --context and -f exclude each other",
      })
  void saysWhichOptionIsMissingOrTooMuch(String args, String message) {
    Ended ended = run(args);
    assertThat(ended.code()).isEqualTo(2);
    assertThat(ended.err()).singleElement().asString().contains(message);
  }

  @Test
  void aModelThatCannotBePlannedIsOneLine() throws IOException {
    Path loop = Files.createSymbolicLink(folder.resolve("loop"), Path.of("loop"));
    Path empty = Files.createDirectory(folder.resolve("empty"));
    Path cut = Files.writeString(folder.resolve("cut.gguf"), "GGUF\u0003\u0000");
    Path text = Files.writeString(folder.resolve("text.gguf"), "hello\nworld\n");
    for (String model :
        List.of(
            loop.toString(),
            empty.toString(),
            cut.toString(),
            text.toString(),
            folder + "/none.gguf",
            "builtin:none",
            "ftp://host/model")) {
      Ended ended =
          run(List.of("--model", model, "--context", "4096", "--gpu", "1Gi", "--dram", "1Gi"));
      assertThat(ended.code()).as(model).isEqualTo(1);
      assertThat(ended.err()).as(model).singleElement().asString().startsWith(model).contains("; ");
    }
  }

  @Test
  void plansAManifestAsTheOperatorWould() throws IOException {
    Ended ended = run(List.of("-f", EXAMPLES.resolve("smallest.yaml").toString()));
    assertThat(ended.code()).isZero();
    assertThat(ended.out())
        .startsWith("# default/smallest")
        .contains("at 32,768 tokens x 2 fits:")
        .contains("an arena");
    Ended tight = planOf(manifest("builtin:kvdrive-tiny-32k", "  concurrency: 200"), "--json");
    assertThat(tight.code()).isEqualTo(PlanCommand.INFEASIBLE);
    JsonNode judged = JsonMapper.shared().readTree(tight.out()).get(0);
    assertThat(judged.at("/deployment").stringValue()).isEqualTo("default/contracts");
    assertThat(judged.at("/reason").stringValue()).isEqualTo("DoesNotFit");
    assertThat(judged.at("/alternatives").size()).isPositive();
  }

  @Test
  void plansModelsInImagesBySizesThatAreStated() throws IOException {
    Ended example = run(List.of("-f", EXAMPLES.resolve("model-image.yaml").toString()));
    assertThat(example.code()).as(example.out()).isZero();
    assertThat(example.out())
        .startsWith("# default/drafts")
        .contains("oci://registry.example.com/models/smollm2-135m:q8_0 at 8,192 tokens x 1 fits:");
    String uri = "oci://registry.example.com/models/tiny:q8#tiny.gguf";
    String stated =
        manifest(uri, "")
            .replace(
                "\"%s\"".formatted(uri),
                "\"%s\", geometry: {layers: 2, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, feedForward: 128, vocabulary: 1000, maxContext: 65536, weights: 4Mi}"
                    .formatted(uri));
    assertThat(planOf(stated).out()).contains(uri + " at 16,384 tokens x 1 fits:");
  }

  @Test
  void saysWhatBecomesOfTracesWhoseCollectorItDoesNotKnow() throws IOException {
    String traced = manifest("builtin:kvdrive-tiny-32k", "  traces: {enabled: true}");
    assertThat(planOf(traced).out())
        .contains("Note: It asks for traces, and no InferenceClass of it names a collector")
        .contains("runtime.traces.endpoint", "refuses the deployment");
    String share = manifest("builtin:kvdrive-tiny-32k", "  traces: {sampling: 10%}");
    assertThat(planOf(share).out()).contains("Note: It asks for traces");
    String clazz =
        """
        ---
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceClass
        metadata: {name: default}
        spec: %s
        """;
    assertThat(planOf(traced + clazz.formatted("{}")).out())
        .contains("Note: It asks for traces, and InferenceClass default names no collector");
    assertThat(planOf(traced + clazz.formatted("{traces: {endpoint: \"http://otel:4318\"}}")).out())
        .doesNotContain("Note: It asks for traces");
    String off = manifest("builtin:kvdrive-tiny-32k", "  traces: {enabled: false}");
    assertThat(planOf(off).out()).doesNotContain("traces");
  }

  /** Nothing is pulled to plan, and no hub is asked. */
  @Test
  void ofAModelInAnImageWithoutSizesItSaysWhereToStateThem() throws IOException {
    Ended unknown = planOf(manifest("oci://registry.example.com/models/tiny:q8", ""));
    assertThat(unknown.code()).isEqualTo(PlanCommand.INFEASIBLE);
    assertThat(unknown.out())
        .contains(
            "GeometryUnknown: The sizes of model oci://registry.example.com/models/tiny:q8 are not known")
        .contains("spec.model.geometry", "the catalogue of the InferenceClass");
    assertThat(unknown.err()).isEmpty();
    for (String uri :
        List.of(
            "oci://registry.example.com",
            "oci://registry.example.com/Models/tiny:q8",
            "oci://registry.example.com/models/tiny:q8#/tiny.gguf",
            "oci://registry.example.com/models/tiny:q8#a/../../b")) {
      Ended refused = planOf(manifest(uri, ""));
      assertThat(refused.code()).as(uri).isNotZero();
      assertThat(refused.out() + refused.err()).contains("spec.model.uri", uri);
    }
    assertThat(
            run(List.of(
                    "--model",
                    "oci://registry.example.com/models/tiny:q8",
                    "--context",
                    "4096",
                    "--gpu",
                    "1Gi",
                    "--dram",
                    "1Gi"))
                .err())
        .singleElement()
        .asString()
        .contains("oci://registry.example.com/models/tiny:q8", "; ");
  }

  @Test
  void aManifestThatIsRefusedKeepsNoOtherFromBeingJudged() throws IOException {
    String absurd =
        manifest("hf://some/model", "")
            .replace("name: contracts", "name: absurd")
            .replace(
                "uri: \"hf://some/model\"",
                "uri: \"hf://some/model\", geometry: {layers: 2, hidden: 64, heads: 4, kvHeads: 2,"
                    + " headDim: 16, feedForward: 128, vocabulary: 1000, maxContext: 65536, weights: 9Ei}");
    Ended ended = planOf(absurd + "---\n" + manifest("builtin:kvdrive-tiny-32k", ""));
    assertThat(ended.code()).isEqualTo(PlanCommand.INFEASIBLE);
    assertThat(ended.out())
        .contains("# default/absurd")
        .contains("InvalidSpec: spec.model.geometry.weights: '9Ei'")
        .contains("# default/contracts")
        .contains("fits:");
  }

  @Test
  void aClassIsReadFromAnyOfTheFiles() throws IOException {
    String deployment = manifest("builtin:kvdrive-tiny-32k", "  className: small");
    assertThat(planOf(deployment).err())
        .singleElement()
        .asString()
        .contains("default/contracts uses InferenceClass small", "add it with another -f");
    Path clazz =
        Files.writeString(
            folder.resolve("class.yaml"),
            """
            apiVersion: kvdrive.dev/v1alpha1
            kind: InferenceClass
            metadata: {name: small}
            spec:
              limits: {contextLength: 8192}
            """);
    Ended ended = planOf(deployment, "-f", clazz.toString(), "-n", "legal");
    assertThat(ended.code()).isEqualTo(PlanCommand.INFEASIBLE);
    assertThat(ended.out())
        .startsWith("# legal/contracts")
        .contains("NotAllowed: contextLength is 16,384; InferenceClass small allows at most 8,192");
  }

  /** A file with the class small, which the namespace default may use. */
  private Path classOfDefault() throws IOException {
    return Files.writeString(
        folder.resolve("class.yaml"),
        """
        apiVersion: kvdrive.dev/v1alpha1
        kind: InferenceClass
        metadata: {name: small}
        spec: {tenants: [{namespace: default}]}
        """);
  }

  @Test
  void aClassThatIsNotAmongThoseGivenIsRefusedAsTheOperatorWould() throws IOException {
    Path clazz = classOfDefault();
    Ended ended =
        planOf(manifest("builtin:kvdrive-tiny-32k", "  className: smal"), "-f", clazz.toString());
    assertThat(ended.code()).isEqualTo(PlanCommand.INFEASIBLE);
    assertThat(ended.out())
        .startsWith("# default/contracts")
        .contains("ClassNotFound: There is no InferenceClass smal")
        .contains("Open to namespace default: small.")
        .contains("Note: InferenceClass smal is not among the manifests");
  }

  @Test
  void whereNothingIsToPlanTheFilesAreNamed() throws IOException {
    Path empty = Files.writeString(folder.resolve("empty.yaml"), "");
    Ended ended = planOf("# nothing\n", "-f", empty.toString());
    assertThat(ended.code()).isEqualTo(1);
    assertThat(ended.err())
        .singleElement()
        .asString()
        .contains(
            "there is no InferenceDeployment to plan in %s, %s (empty); name its file"
                .formatted(folder.resolve("manifest.yaml"), empty));
  }

  @Test
  void judgesWhatClassesGovernAsTheOperatorWould() throws IOException {
    Path clazz = classOfDefault();
    String none = manifest("builtin:kvdrive-tiny-32k", "");
    assertThat(planOf(none).code()).isZero();
    assertThat(planOf(none, "-f", clazz.toString(), "--class-required"))
        .satisfies(
            ended -> {
              assertThat(ended.code()).isEqualTo(PlanCommand.INFEASIBLE);
              assertThat(ended.out())
                  .contains("NotAllowed: spec.className is missing")
                  .contains("Open to namespace default: small.");
            });
    assertThat(
            planOf(
                    manifest(
                        "builtin:kvdrive-tiny-32k",
                        "  runtime: {priorityClassName: system-node-critical, tolerations: [{operator: Exists}]}"))
                .out())
        .contains("NotAllowed: runtime.priorityClassName is system-node-critical")
        .contains("a toleration without a key");
    assertThat(planOf(manifest("builtin:gpt-7", "")).out())
        .contains("ModelNotBundled: There is no bundled model builtin:gpt-7")
        .contains("builtin:kvdrive-tiny-32k");
  }

  @Test
  void saysWhatIsWrongWithAManifest() throws IOException {
    assertThat(planOf(manifest("builtin:kvdrive-tiny-32k", "  concurency: 2")).err())
        .singleElement()
        .asString()
        .contains("manifest.yaml", "contracts", "spec.concurency: there is no such field");
    assertThat(planOf("kind: Pod\napiVersion: v1\n").err())
        .singleElement()
        .asString()
        .contains("no InferenceDeployment");
    assertThat(run(List.of("-f", folder + "/none.yaml")).err())
        .singleElement()
        .asString()
        .contains("none.yaml: there is no such file or folder; give a file with manifests");
    assertThat(run(List.of("-f", folder.toString())).err())
        .singleElement()
        .asString()
        .contains(": Is a directory; give a file with manifests");
  }

  @Test
  void aModelThatNobodyKnowsIsLookedUpOnTheHubAndSaysWhatTheOperatorNeeds() {
    ManifestPlans plans =
        new ManifestPlans(
            "default",
            false,
            uri ->
                new ModelGeometry(
                    uri, new ModelShape(4, 64, 4, 2, 16, 128, 1000), 32768, 4_000_000),
            null);
    plans.read("file", manifest("hf://some/model", ""));
    ManifestPlans.Judged judged = plans.judge().getFirst();
    assertThat(judged.feasible()).isTrue();
    assertThat(judged.note())
        .contains("add to spec.model: geometry: {layers: 4, hidden: 64, heads: 4, kvHeads: 2")
        .contains("weights: \"4000000\"}");
    ManifestPlans again =
        new ManifestPlans(
            "default",
            false,
            uri -> {
              throw new AssertionError("asked the hub for a model that the manifest describes");
            },
            null);
    again.read(
        "file",
        manifest("hf://some/model", "")
            .replace(
                "\"hf://some/model\"}",
                "\"hf://some/model\","
                    + String.valueOf(judged.note()).replaceFirst(".*spec.model:", "")
                    + "}"));
    assertThat(again.judge().getFirst().note()).isNull();
    assertThat(again.judge().getFirst().plan()).isEqualTo(judged.plan());
  }

  @Test
  void whatBoundsTheContextOfAModelOfTheHubGoesOnToTheOperator() {
    String extended =
        manifest("hf://some/model", "")
            .replace("model\"}", "model\", ropeScaling: {type: yarn, factor: 4}}");
    ManifestPlans plans =
        new ManifestPlans(
            "default",
            false,
            uri ->
                new ModelGeometry(
                    uri,
                    new ModelShape(4, 64, 4, 2, 16, 128, 1000),
                    32768,
                    4_000_000,
                    ContextLimit.SCALED),
            null);
    plans.read("file", extended);
    ManifestPlans.Judged judged = plans.judge().getFirst();
    assertThat(judged.reason()).isEqualTo("InvalidSpec");
    assertThat(judged.message())
        .contains("32,768 tokens are " + ContextLimit.SCALED.words(), "leave rope scaling out");
    assertThat(judged.note()).contains("weights: \"4000000\", contextLimit: scaled}");
  }
}
