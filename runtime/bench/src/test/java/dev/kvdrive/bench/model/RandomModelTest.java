package dev.kvdrive.bench.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.bench.speed.EngineProbe;
import dev.kvdrive.bench.speed.EngineProbeMain;
import dev.kvdrive.bench.speed.ProbeSettings;
import dev.kvdrive.bench.speed.SpeedRun;
import dev.kvdrive.bench.speed.StepBytes;
import dev.kvdrive.bench.speed.Stretch;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.Workspace;
import dev.kvdrive.schedule.GenerationException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RandomModelTest {
  @TempDir private Path cache;

  private Path make(String type) {
    return RandomModel.parse("random:test:" + type).in(cache);
  }

  private static Model open(Path file) {
    return ModelLoader.open(file, 0, ModelLoader.Verification.FULL);
  }

  @ParameterizedTest
  @CsvSource({"bf16", "q8_0"})
  void isAWholeModelThatTheEngineRuns(String type) {
    try (EngineProbe probe =
        EngineProbeMain.open(
            new ProbeSettings(
                LocalModel.of(make(type)),
                new ProbeSettings.Work(300, 9, 2),
                new ProbeSettings.Attention(Budget.of(0.25), "kvdrive", Formats.of(KvType.BF16)),
                new ProbeSettings.Processor(DeviceKind.CPU, 2),
                new ProbeSettings.Tiers(2, 1, Path.of(".")),
                new ProbeSettings.Parts(WindowOptions.DEFAULT, true, Workspace.MOST_MICRO_BATCHES),
                true))) {
      SpeedRun run = probe.run();
      assertThat(run.promptTokens()).isEqualTo(300);
      assertThat(run.decodeSteps()).as("of both").isEqualTo(2 * 8);
      assertThat(run.prefillNanos()).isPositive();
      assertThat(run.attendedTokens()).isBetween(68.0, 200.0);
      assertThat(run.verbNanos())
          .containsKeys(
              "tensor.matmul", "kv.append", "index.score", "window.diff", "attention.hits");
      assertThat(run.verbNanos().values().stream().mapToLong(nanos -> nanos).sum())
          .as("verbs of steps alone, none of the prompt's")
          .isPositive()
          .isLessThanOrEqualTo(run.decodeNanos());
      assertThat(probe.prompt()).isPositive();
      assertThat(probe.go(3).tokens()).as("of both").isEqualTo(6);
      Stretch last = probe.go(5);
      assertThat(last.tokens()).as("goes on where it stopped").isEqualTo(10);
      assertThat(last.hits() + last.dramMisses()).isPositive();
      assertThatThrownBy(() -> probe.go(1))
          .isInstanceOf(GenerationException.class)
          .hasMessageContaining("the answers have ended");
    }
  }

  @Test
  void isMadeOnceAndTheSameAgainElsewhere() throws Exception {
    Path first = make("q8_0");
    Object made = Files.getLastModifiedTime(first);
    assertThat(make("q8_0")).isEqualTo(first);
    assertThat(Files.getLastModifiedTime(first)).isEqualTo(made);
    Path second = RandomModel.parse("random:test:q8_0").in(cache.resolve("other"));
    assertThat(second).hasSameBinaryContentAs(first);
  }

  @Test
  void hasTheSameWeightsInBothFormatsUpToTheirRounding() {
    try (Model folder = open(make("bf16"));
        Model gguf = open(make("q8_0"))) {
      TensorData exact = folder.layers().getFirst().down();
      TensorData blocks = gguf.layers().getFirst().down();
      assertThat(blocks.type()).isEqualTo(TensorType.Q8_0);
      float[] a = Dequantizer.floats(exact);
      float[] b = Dequantizer.floats(blocks);
      double reach = Math.sqrt(3.0 / exact.cols());
      for (int i = 0; i < a.length; i++) {
        assertThat(b[i]).isCloseTo(a[i], org.assertj.core.data.Offset.offset((float) reach / 100));
      }
    }
  }

  @Test
  void aStepReadsAllWeightsOnceAndWhatItAttends() {
    try (Model model = open(make("bf16"))) {
      var layout = Planner.layout(model.geometry(), KvType.BF16);
      StepBytes exact = StepBytes.of(model, DeviceKind.CPU, layout, 1000, 1000, null);
      assertThat(exact.weights()).isEqualTo(model.geometry().weightBytes());
      assertThat(exact.cache()).isEqualTo(1000 * layout.bytesPerToken());
      assertThat(exact.index()).isZero();
      StepBytes sparse =
          StepBytes.of(model, DeviceKind.CPU, layout, 100, 1000, PolicyShape.KVDRIVE);
      assertThat(sparse.cache()).isEqualTo(100 * layout.bytesPerToken());
      assertThat(sparse.index()).isEqualTo(2L * 2 * ((1000 - 68) / 8) * 8 * (32 / 4 + 2));
      assertThat(sparse.perToken(1)).isLessThan(exact.perToken(1));
    }
  }

  @Test
  void convertingToAFolderKeepsWeightsTokensAndTheirOrder() {
    Path folder = cache.resolve("converted");
    try (Model gguf = open(make("q8_0"))) {
      HuggingFaceFolder.convert(gguf, folder);
      try (Model converted = open(folder)) {
        assertThat(converted.spec().rope().interleaved()).isFalse();
        assertThat(converted.spec().rope().inverseFrequencies())
            .isEqualTo(gguf.spec().rope().inverseFrequencies());
        float[] before = Dequantizer.floats(gguf.layers().get(1).query());
        float[] after = Dequantizer.floats(converted.layers().get(1).query());
        int cols = gguf.spec().hidden();
        int half = gguf.spec().headDim() / 2;
        for (int pair = 0; pair < half; pair++) {
          int inHead = gguf.spec().headDim() + pair;
          assertThat(after[inHead * cols + 7])
              .isCloseTo(
                  before[(gguf.spec().headDim() + 2 * pair) * cols + 7],
                  org.assertj.core.data.Offset.offset(1e-3f));
          assertThat(after[(inHead + half) * cols + 7])
              .isCloseTo(
                  before[(gguf.spec().headDim() + 2 * pair + 1) * cols + 7],
                  org.assertj.core.data.Offset.offset(1e-3f));
        }
        assertThat(LocalEngine.tokenizer(converted.tokenizer()).encode("a  b", false))
            .isEqualTo(LocalEngine.tokenizer(gguf.tokenizer()).encode("a  b", false));
      }
    }
  }

  @Test
  void refusesWhatItDoesNotKnow() {
    assertThatThrownBy(() -> RandomModel.parse("random:llama-3.2-1b"))
        .hasMessageContaining("write for instance random:llama-3.2-1b:q8_0");
    assertThatThrownBy(() -> RandomModel.parse("random:gpt-5:q8_0"))
        .hasMessageContaining("no shape 'gpt-5'");
    assertThatThrownBy(() -> RandomModel.parse("random:test:q4_k"))
        .hasMessageContaining("bf16 or q8_0, not 'q4_k'");
  }
}
