package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.device.DeviceMemoryException;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.VolumeSpace;
import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.openai.ChatCompletionRequest;
import dev.kvdrive.server.openai.CompletionRequest;
import dev.kvdrive.server.serving.EngineStart;
import dev.kvdrive.server.serving.MachineCheck;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.serving.RuntimeLifecycle;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.serving.StartFailure;
import dev.kvdrive.server.serving.TerminationLog;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import dev.kvdrive.server.settings.TierBytesConverter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.boot.context.properties.bind.BindHandler;
import org.springframework.boot.context.properties.bind.Bindable;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.bind.handler.NoUnboundElementsBindHandler;
import org.springframework.boot.context.properties.source.MapConfigurationPropertySource;
import org.springframework.core.convert.support.DefaultConversionService;

/** A runtime that cannot start says why in one line that names cause, value and way out. */
class StartFailureTest {
  @TempDir Path folder;

  private static RuntimeSettings settings(Map<String, String> values) {
    DefaultConversionService conversion = new DefaultConversionService();
    conversion.addConverter(new TierBytesConverter());
    conversion.addConverter(
        String.class,
        java.time.Duration.class,
        org.springframework.boot.convert.DurationStyle.SIMPLE::parse);
    conversion.addConverter(String.class, Path.class, Path::of);
    BindHandler strict = new NoUnboundElementsBindHandler(BindHandler.DEFAULT);
    return new Binder(List.of(new MapConfigurationPropertySource(values)), null, conversion)
        .bindOrCreate("kvdrive", Bindable.of(RuntimeSettings.class), strict);
  }

  private Map<String, String> sound() {
    Map<String, String> values = new HashMap<>();
    values.put("kvdrive.model.cache-dir", folder.resolve("cache").toString());
    values.put("kvdrive.context-length", "2048");
    values.put("kvdrive.backing", "bf16");
    values.put("kvdrive.tiers.gpu-bytes", "48Mi");
    values.put("kvdrive.tiers.dram-bytes", "8Mi");
    values.put("kvdrive.tiers.nvme-bytes", "64Mi");
    values.put("kvdrive.tiers.nvme-dir", folder.resolve("nvme").toString());
    return values;
  }

  /** What the runtime says when it starts with these settings on this machine. */
  private String reason(Map<String, String> values, MachineCheck machine) {
    ModelStart start =
        new EngineStart(
            settings(values),
            new ReferenceDevices(),
            ExtentFile.Opener.FILES,
            machine,
            Map.of("HF_HUB_OFFLINE", "1"),
            new SettingNames(null),
            Clock.systemUTC());
    try {
      start.start(step -> {});
    } catch (Exception e) {
      assertThat(StartFailure.unexpected(e)).isNull();
      return StartFailure.reason(e);
    } finally {
      start.close();
    }
    throw new AssertionError("it started");
  }

  private Plan plan(Map<String, String> values) {
    return Planner.plan(
        settings(values)
            .planRequest(
                new ModelSource(folder, HubSettings.from(Map.of())).geometry(ModelSource.BUILTIN),
                DeviceKind.CPU));
  }

  private String reason(String model) {
    Map<String, String> values = sound();
    values.put("kvdrive.model.uri", model);
    return reason(values, MachineCheck.here());
  }

  /** Starts with a chat template, and says what becomes of a chat and of a raw prompt. */
  private String chatWith(String template) throws Exception {
    Map<String, String> values = sound();
    Path file = Files.writeString(folder.resolve("own.jinja"), template);
    values.put("kvdrive.model.chat-template", file.toString());
    ModelStart start =
        new EngineStart(
            settings(values),
            new ReferenceDevices(),
            ExtentFile.Opener.FILES,
            MachineCheck.here(),
            Map.of("HF_HUB_OFFLINE", "1"),
            new SettingNames(null),
            Clock.systemUTC());
    try {
      ServedModel model = start.start(step -> {});
      assertThat(
              model.reader().read("r", read(model, "{\"prompt\":\"a\"}", CompletionRequest.class)))
          .isNotNull();
      String body = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
      List<Integer> prompt =
          model
              .reader()
              .read("r", read(model, body, ChatCompletionRequest.class))
              .generations()
              .getFirst()
              .prompt();
      return model.tokenizer().decode(prompt.stream().mapToInt(Integer::intValue).toArray(), false);
    } finally {
      start.close();
    }
  }

  private static <T> T read(ServedModel model, String body, Class<T> type) {
    return model.json().read(body.getBytes(StandardCharsets.UTF_8), type);
  }

  @Test
  void aChatTemplateTakesThePlaceOfTheModelsOwn() throws Exception {
    assertThat(chatWith("<|im_start|>{{ messages[0].content | upper }}"))
        .isEqualTo("<|im_start|>HI");
  }

  @Test
  void aChatTemplateThatCannotBeParsedRefusesChatsAndNothingElse() {
    assertThatThrownBy(() -> chatWith("{% if %}"))
        .isInstanceOfSatisfying(
            ApiException.class,
            refused -> {
              assertThat(refused.status()).isEqualTo(400);
              assertThat(refused.body().error().code()).isEqualTo("unusable_chat_template");
            })
        .hasMessageContaining("line 1")
        .hasMessageContaining("/v1/completions");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      quoteCharacter = '"',
      value = {
        "{{ 'a' | nothing }}; unusable_chat_template; (unknown filter 'nothing' (line 1))",
        "{% for m in messages %}{{ nothing(m) }}{% endfor %}; unusable_chat_template; (unknown function 'nothing' (line 1))",
        "{{ messages[0].content.nothing() }}; failed_chat_template; 'nothing' is undefined (line 1)",
        "{{ messages | upper + 1 }}; failed_chat_template; line 1",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}; failed_chat_template; limit",
        "{{ raise_exception('no') }}; refused_by_chat_template; no",
      })
  void noChatTemplateLooksLikeABrokenServer(String template, String code, String words) {
    assertThatThrownBy(() -> chatWith(template))
        .isInstanceOfSatisfying(
            ApiException.class,
            refused -> {
              assertThat(refused.status()).isEqualTo(400);
              assertThat(refused.body().error().code()).isEqualTo(code);
            })
        .hasMessageContaining(words);
  }

  @Test
  void aChatTemplateThatIsNotThereIsTold() {
    Map<String, String> values = sound();
    values.put("kvdrive.model.chat-template", folder.resolve("none.jinja").toString());
    assertThat(reason(values, MachineCheck.here()))
        .contains("kvdrive.model.chat-template", folder.toString(), "none.jinja", "no such file");
  }

  @Test
  void ropeScalingReachesModelAndPlan() throws IOException {
    Map<String, String> values = sound();
    values.put("kvdrive.context-length", "65536");
    assertThat(reason(values, MachineCheck.here())).contains("trained for 32,768 tokens");
    values.put("kvdrive.model.rope-scaling.type", "yarn");
    values.put("kvdrive.model.rope-scaling.factor", "1.5");
    assertThat(reason(values, MachineCheck.here()))
        .contains("49,152 tokens", "the rope scaling that was asked for");
    values.put("kvdrive.model.rope-scaling.factor", "4");
    values.put("kvdrive.model.rope-scaling.original-context", "16384");
    assertThat(reason(values, MachineCheck.here()))
        .contains("GPU memory")
        .doesNotContain("trained for", "rope scaling");
    values.put("kvdrive.model.rope-scaling.original-context", "65536");
    assertThat(reason(values, MachineCheck.here()))
        .contains("starts from 65,536 tokens", "trained for 32,768");
  }

  private Map<String, String> planned() {
    Map<String, String> values = sound();
    values.put("kvdrive.tiers.gpu-bytes", "8Mi"); // which is said after the sizes are found right
    values.put("kvdrive.model.planned.layers", "6");
    values.put("kvdrive.model.planned.hidden", "256");
    values.put("kvdrive.model.planned.heads", "4");
    values.put("kvdrive.model.planned.kv-heads", "2");
    values.put("kvdrive.model.planned.head-dim", "64");
    values.put("kvdrive.model.planned.feed-forward", "768");
    values.put("kvdrive.model.planned.vocabulary", "8192");
    values.put("kvdrive.model.planned.weight-bytes", "7255040");
    values.put("kvdrive.model.planned.gpu-weight-bytes", "7255040");
    values.put("kvdrive.model.planned.stated-in", "spec.model.geometry");
    return values;
  }

  @ParameterizedTest
  @CsvSource({
    "layers, 12, layers is stated as 12 and is 6",
    "hidden, 128, hidden is stated as 128 and is 256",
    "heads, 8, heads is stated as 8 and is 4",
    "kv-heads, 4, kvHeads is stated as 4 and is 2",
    "head-dim, 32, headDim is stated as 32 and is 64",
    "feed-forward, 700, feedForward is stated as 700 and is 768",
    "vocabulary, 9000, vocabulary is stated as 9000 and is 8192",
    "weight-bytes, 1048576, weights are stated as 1.00 MiB and are 6.92 MiB",
    "gpu-weight-bytes, 1048576, weights on a GPU are stated as 1.00 MiB and are 6.92 MiB",
  })
  void sizesThatWereNotThoseOfTheFileAreNamedWithWhereToCorrectThem(
      String field, String stated, String said) {
    Map<String, String> values = planned();
    values.put("kvdrive.model.planned." + field, stated);

    assertThat(reason(values, MachineCheck.here()))
        .startsWith("ModelDiffers: ")
        .contains("builtin:kvdrive-tiny-32k", said, "Correct spec.model.geometry")
        .contains("geometry: {layers: 6, hidden: 256")
        .contains("weights: \"7255040\", gpuWeights: \"7255040\"}");
  }

  @Test
  void sizesThatAreThoseOfTheFileOrLeaveRoomAreFine() {
    assertThat(reason(planned(), MachineCheck.here())).contains("does not fit");
    Map<String, String> roomy = planned();
    roomy.put("kvdrive.model.planned.weight-bytes", "8388608");
    roomy.remove("kvdrive.model.planned.gpu-weight-bytes");
    assertThat(reason(roomy, MachineCheck.here())).contains("does not fit");
  }

  @ParameterizedTest
  @CsvSource({"dynamic, 4, use yarn or linear", "yarn, 1, above 1", "yarn, 0, above 1"})
  void ropeScalingThatCannotBeIsNamed(String type, String factor, String message) {
    Map<String, String> values = sound();
    values.put("kvdrive.model.rope-scaling.type", type);
    values.put("kvdrive.model.rope-scaling.factor", factor);
    assertThatThrownBy(() -> settings(values)).rootCause().hasMessageContaining(message);
  }

  @Test
  void nothingIsEncryptedWithoutAnNvmeTier() {
    Map<String, String> values = sound();
    values.put("kvdrive.tiers.nvme-encryption", "aes-gcm");
    assertThat(settings(values).tiers().nvmeEncryption()).isEqualTo(NvmeEncryption.AES_GCM);
    values.put("kvdrive.tiers.nvme-bytes", "0");
    assertThatThrownBy(() -> settings(values))
        .rootCause()
        .hasMessageContaining("kvdrive.tiers.nvme-encryption is aes-gcm, and there is no NVMe tier")
        .hasMessageContaining("set kvdrive.tiers.nvme-bytes, or leave it out");
  }

  @Test
  void anIndexThatNeedsACalibrationSaysWhereOneWouldBe() throws IOException {
    Path model = folder.resolve("own.gguf");
    Files.copy(
        new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN), model);
    Map<String, String> values = sound();
    values.put("kvdrive.model.uri", model.toString());
    values.put("kvdrive.index", "planes-128");

    assertThat(reason(values, MachineCheck.here()))
        .contains("index planes-128 needs a calibration of the model")
        .contains("own.gguf.kvdrive-index.safetensors")
        .contains("./kvdrive calibrate", "two-bit");
  }

  @Test
  void saysWhatIsWrongWithAModel() throws IOException {
    Path bundled = new ModelSource(folder, HubSettings.from(Map.of())).resolve(ModelSource.BUILTIN);
    byte[] whole = Files.readAllBytes(bundled);
    Path cut =
        Files.write(
            folder.resolve("cut.gguf"), java.util.Arrays.copyOf(whole, whole.length - 1000));
    Path text = Files.writeString(folder.resolve("text.gguf"), "no model\nat all\n");
    Path empty = Files.createDirectory(folder.resolve("empty"));
    Path loop = Files.createSymbolicLink(folder.resolve("loop"), Path.of("loop"));
    Path bert = Files.createDirectory(folder.resolve("bert"));
    Files.writeString(bert.resolve("config.json"), "{\"model_type\":\"bert\"}");
    assertThat(reason(cut.toString())).contains(cut.toString(), "get it again");
    assertThat(reason(text.toString())).contains(text.toString());
    assertThat(reason(empty.toString()))
        .contains("no config.json and 0 GGUF models", "name a GGUF");
    assertThat(reason(loop.toString())).contains("leads nowhere or in a circle");
    assertThat(reason(bert.toString())).contains("bert", "use a model of one of");
    assertThat(reason(folder + "/none")).contains("no such file or folder", "hf://org/repo");
    assertThat(reason("builtin:none")).contains("no such bundled model", ModelSource.BUILTIN);
    assertThat(reason("hf://org/repo"))
        .contains("not in the cache", "HF_HUB_OFFLINE forbids the network", "give its path");
    for (Path model : List.of(cut, text, empty, loop, bert)) {
      assertThat(reason(model.toString())).doesNotContain("\n").doesNotContain("Exception");
    }
  }

  @Test
  void saysWhatWouldFit() {
    Map<String, String> values = sound();
    values.put("kvdrive.tiers.gpu-bytes", "8Mi");
    assertThat(reason(values, MachineCheck.here()))
        .contains("does not fit", "GPU memory: at least", "What would fit")
        .doesNotContain("\n");
  }

  @Test
  void saysEverythingThatTheMachineLacks() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    Map<String, String> values = sound();
    values.put("kvdrive.tiers.nvme-dir", file.resolve("nvme").toString());
    assertThat(reason(values, new MachineCheck(ByteSize.MIB, ByteSize.MIB)))
        .contains("memory: the plan needs", "1.00 MiB", "raise the memory limit")
        .contains("heap: the plan needs", "start it with -Xmx")
        .contains("NVMe volume: " + file, "Not a directory", "mount a volume");
  }

  @Test
  void memoryIsNoNvmeVolume() throws IOException {
    Path memory = Path.of("/dev/shm");
    assumeTrue(Files.isWritable(memory) && Files.getFileStore(memory).type().equals("tmpfs"));
    Path inMemory = Files.createTempDirectory(memory, "kvdrive-test");
    try {
      Map<String, String> values = sound();
      values.put("kvdrive.tiers.nvme-dir", inMemory.toString());
      assertThat(reason(values, MachineCheck.here()))
          .contains(inMemory.toString(), "its filesystem is tmpfs, which is memory", "on a drive");
      // Where nothing needs NVMe, nobody looks at the folder.
      values.put("kvdrive.tiers.dram-bytes", "64Mi");
      Plan plan = plan(values);
      assertThat(plan.requireSizes().nvmeExtents()).isZero();
      new MachineCheck(Long.MAX_VALUE, Long.MAX_VALUE).require(plan, inMemory);
    } finally {
      Files.delete(inMemory);
    }
  }

  @Test
  void aVolumeThatIsTooSmallSaysWhatItHasAndWhatWouldDo() {
    Map<String, String> values = sound();
    values.put("kvdrive.concurrency", "1024");
    values.put("kvdrive.tiers.gpu-bytes", "4Ti");
    values.put("kvdrive.tiers.dram-bytes", "4Gi");
    values.put("kvdrive.tiers.nvme-bytes", "4000Ti");
    values.put("kvdrive.context-length", "32768");
    Plan plan = plan(values);
    long needed =
        plan.requireSizes().leastNvmeExtents() * plan.requireSizes().layout().extentBytes();
    assumeTrue(folder.toFile().getUsableSpace() < needed);
    assertThatThrownBy(
            () ->
                new MachineCheck(Long.MAX_VALUE, Long.MAX_VALUE)
                    .require(plan, settings(values).tiers().nvmeDir()))
        .hasMessageContaining("the extents need " + ByteSize.human(needed))
        .hasMessageContaining("has room for ")
        .hasMessageContaining(
            "(%s would do)".formatted(ByteSize.mebibytes(VolumeSpace.volumeFor(needed))));
  }

  @Test
  void aDeviceWithoutItsBackendIsNamedAndNothingTakesItsPlace() {
    // No image of the server carries the CUDA backend.
    assertThatThrownBy(() -> DeviceFactory.require(DeviceKind.CUDA))
        .isInstanceOf(DeviceException.class)
        .hasMessageContaining("device cuda cannot be used")
        .hasMessageContaining("kvdrive-backend-cuda.jar");
    assertThat(DeviceFactory.require(DeviceKind.CPU).kind()).isEqualTo(DeviceKind.CPU);
  }

  @Test
  void whatIsWrongWithAGpuHasAReasonInOneWord() {
    DeviceException none = new DeviceException("device cuda cannot be used: no driver");
    DeviceException small = new DeviceMemoryException("a tier of 2 GiB, but it has 1 GiB");
    assertThat(StartFailure.reason(StartFailure.ofDevice(DeviceKind.CUDA, none)))
        .startsWith("GpuUnusable: device cuda cannot be used: no driver. ")
        .contains("it must ask for a GPU");
    DeviceException bare =
        catchThrowableOfType(DeviceException.class, () -> DeviceFactory.require(DeviceKind.CUDA));
    assertThat(StartFailure.reason(StartFailure.ofDevice(DeviceKind.CUDA, bare)))
        .startsWith(
            "GpuUnusable: device cuda cannot be used: this program comes without its backend")
        .contains("it is the image that comes without", "runtime.cudaImage of the chart")
        .doesNotContain("driver");
    assertThat(StartFailure.reason(StartFailure.ofDevice(DeviceKind.CUDA, small)))
        .isEqualTo("GpuTooSmall: a tier of 2 GiB, but it has 1 GiB");
    assertThat(StartFailure.ofDevice(DeviceKind.CPU, none)).isSameAs(none);
    assertThat(StartFailure.ofEngine("cuEventSynchronize: CUDA_ERROR_UNKNOWN (999)"))
        .startsWith("GpuFailed: cuEventSynchronize: CUDA_ERROR_UNKNOWN (999). ")
        .contains("must be restarted", "Xid");
    assertThat(StartFailure.ofEngine("the engine thread has ended"))
        .isEqualTo("EngineFailed: the engine thread has ended");
  }

  @Test
  void aMachineThatHasWhatThePlanPromisesIsFine() {
    RuntimeSettings settings = settings(sound());
    Plan plan = plan(sound());
    new MachineCheck(plan.requirePod().memoryBytes(), plan.requirePod().heapBytes())
        .require(plan, settings.tiers().nvmeDir());
    assertThat(settings.tiers().nvmeDir()).isEmptyDirectory();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      textBlock =
          """
          kvdrive.context-length    | 12     | at least 128 tokens, got 12
          kvdrive.context-length    | many   | kvdrive.context-length
          kvdrive.concurrency       | 0      | between 1 and 1024, got 0
          kvdrive.budget            | 1.5    | above 0 and at most 1, got 1.5
          kvdrive.tiers.gpu-bytes   | lots   | 'lots' is not a size; write for instance 512Mi
          kvdrive.tiers.dram-bytes  | -1     | '-1' is negative; write a size without a sign
          kvdrive.kv-type           | F64    | kvdrive.kv-type
          kvdrive.backing           | int4   | kvdrive.backing
          kvdrive.backing           | f32    | kvdrive.resident, kvdrive.backing: backing F32, but
          kvdrive.policy            | best   | kvdrive.policy: there is no policy 'best'; there are kvdrive
          kvdrive.index             | best   | kvdrive.index: there is no index 'best'; write two-bit
          kvdrive.index             | planes-33 | kvdrive.index: an index has whole words of 32 bits
          kvdrive.device            | tpu    | kvdrive.device
          kvdrive.threads           | -2     | got -2
          kvdrive.queue-limit       | -1     | must not be negative, got -1
          kvdrive.drain-timeout     | -5s    | must not be negative
          kvdrive.warm-up-time      | -1s    | between 0s and 60s, got PT-1S
          kvdrive.warm-up-time      | 61s    | between 0s and 60s, got PT1M1S
          kvdrive.body-timeout      | 0s     | must be positive
          kvdrive.stream-buffer     | 0      | at least 1, got 0
          kvdrive.contxt-length     | 4096   | unknown configuration: kvdrive.contxt-length
          """)
  void namesTheSettingAtFault(String name, String value, String said) {
    Map<String, String> values = sound();
    values.put(name, value);
    assertThatThrownBy(() -> settings(values))
        .satisfies(
            failure ->
                assertThat(StartFailure.reason(failure)).contains(said).doesNotContain("\n"));
  }

  @Test
  void leavesTheReasonWhereKubernetesLooksAndEndsTheProcess() throws Exception {
    Path log = Files.createFile(folder.resolve("termination-log"));
    CompletableFuture<Integer> code = new CompletableFuture<>();
    Serving serving = new Serving();
    RuntimeLifecycle lifecycle =
        new RuntimeLifecycle(
            settings(sound()),
            serving,
            new Failing(),
            new TerminationLog(log),
            new SettingNames(null),
            limit -> {},
            code::complete);
    lifecycle.start();
    assertThat(code.get(20, TimeUnit.SECONDS)).isEqualTo(1);
    assertThat(Files.readString(log)).isEqualTo("the disk is gone; mount it again");
    assertThat(serving.state()).isEqualTo(new Serving.State.Failed(Files.readString(log)));
  }

  /** The kubelet ends what is not alive; what it is ended for is left where Kubernetes looks. */
  @Test
  void anEngineThatHasFailedIsTheReasonOfTheEnd() throws Exception {
    Path log = Files.createFile(folder.resolve("termination-log"));
    Serving serving = new Serving();
    ScriptedRuntime runtime = new ScriptedRuntime();
    RuntimeLifecycle lifecycle =
        new RuntimeLifecycle(
            settings(sound()),
            serving,
            runtime,
            new TerminationLog(log),
            new SettingNames(null),
            limit -> {},
            code -> {});
    lifecycle.start();
    Awaitility.await().until(() -> serving.state() instanceof Serving.State.Ready);

    runtime.engine.breakDown("cuEventSynchronize: CUDA_ERROR_LAUNCH_FAILED (719)");
    Serving.State failed = serving.health();
    lifecycle.stop();

    assertThat(failed).isInstanceOf(Serving.State.Failed.class);
    assertThat(Files.readString(log))
        .startsWith("GpuFailed: cuEventSynchronize: CUDA_ERROR_LAUNCH_FAILED (719). ")
        .isEqualTo(failed.detail());
  }

  @Test
  void aRuntimeThatIsWellLeavesNoReason() throws Exception {
    Path log = Files.createFile(folder.resolve("termination-log"));
    Serving serving = new Serving();
    RuntimeLifecycle lifecycle =
        new RuntimeLifecycle(
            settings(sound()),
            serving,
            new ScriptedRuntime(),
            new TerminationLog(log),
            new SettingNames(null),
            limit -> {},
            code -> {});
    lifecycle.start();
    Awaitility.await().until(() -> serving.state() instanceof Serving.State.Ready);

    lifecycle.stop();

    assertThat(log).isEmptyFile();
  }

  @Test
  void cutsALongReasonAtAWholeCharacter() throws IOException {
    Path log = Files.createFile(folder.resolve("termination-log"));
    new TerminationLog(log).write("x" + "é".repeat(4000));
    assertThat(Files.readString(log)).isEqualTo("x" + "é".repeat(2047));
    new TerminationLog(folder.resolve("none")).write("nothing is made where there is none");
    assertThat(folder.resolve("none")).doesNotExist();
  }

  @Test
  void keepsTheStackOfWhatNobodyExpects() {
    Throwable bug = new IllegalStateException("a bug");
    assertThat(StartFailure.unexpected(bug)).isSameAs(bug);
    assertThat(StartFailure.reason(bug)).contains("unexpected", "a bug");
    Throwable memory = new StartFailure("no", new OutOfMemoryError("heap"));
    assertThat(StartFailure.unexpected(memory)).isSameAs(memory);
  }

  private static final class Failing implements ModelStart {
    @Override
    public ServedModel start(Consumer<String> progress) {
      throw new StartFailure("the disk is gone; mount it again");
    }

    @Override
    public void close() {}
  }
}
