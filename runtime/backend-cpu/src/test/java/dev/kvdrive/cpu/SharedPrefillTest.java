package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.schedule.EngineBusyException;
import dev.kvdrive.schedule.EngineSettings;
import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.schedule.Generation;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationListener;
import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.schedule.KvDriveEngine;
import dev.kvdrive.schedule.Sampling;
import dev.kvdrive.schedule.Submission;
import dev.kvdrive.text.Tokenizers;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Requests that belong together and have the same prompt are prefilled once. */
class SharedPrefillTest {
  private static final int PROMPT = 700;
  private static final int TOKENS = 12;
  private static final int SEATS = 3;

  @TempDir private Path folder;
  private Model model;
  private CpuDevice device;
  private KvDriveEngine engine;

  @BeforeEach
  void start() throws Exception {
    Path file = folder.resolve("model.gguf");
    try (InputStream bundled =
        Model.class.getResourceAsStream("/models/kvdrive-tiny-32k-q8_0.gguf")) {
      Files.copy(bundled, file);
    }
    model = ModelLoader.open(file, 2048, ModelLoader.Verification.SAMPLE);
    IndexShape index = IndexShape.parse("two-bit+clusters-16x4");
    var plan =
        Planner.plan(
            PlanRequest.of(
                    model.geometry(),
                    new Load(2048, SEATS, 4),
                    1,
                    KvType.BF16,
                    new TierBudgets(64 * ByteSize.MIB, 32 * ByteSize.MIB, 64 * ByteSize.MIB),
                    DeviceKind.CPU)
                .attending(a -> a.withPolicy(a.policy().withIndex(index)).withDenseBelow(0)));
    device = CpuDevice.open(64 * ByteSize.MIB, 2);
    var tokenizer = Tokenizers.fromGguf(((TokenizerSource.Gguf) model.tokenizer()).metadata());
    engine =
        KvDriveEngine.start(
            model,
            tokenizer,
            device,
            EngineSettings.of(plan.requireSizes(), device, folder.resolve("nvme"))
                .withScheduling(s -> s.withWarmUpTokens(0)));
  }

  @AfterEach
  void stop() {
    engine.close();
    assertThat(device.usedBytes()).isZero();
    assertThat(device.hostBytes()).isZero();
    device.close();
    model.close();
  }

  @Test
  void givesEachWhatItWouldGetAloneAtItsOwnBudget() throws Exception {
    List<GenerationRequest> requests =
        List.of(
            request("exact", 5),
            request("sparse", 5).withBudget("sparse", 0.0625),
            request("sampled", 5, new Sampling(0.8, 0, 1, 0, 1, 0, 0, 11)));
    List<List<GeneratedToken>> alone = new ArrayList<>();
    for (GenerationRequest request : requests) {
      alone.add(submit(List.of(request)).getFirst().tokens());
    }
    long before = engine.status().promptTokens();
    List<Answer> together = submit(requests);
    assertThat(engine.status().promptTokens() - before).isEqualTo(PROMPT);
    for (int i = 0; i < requests.size(); i++) {
      assertThat(together.get(i).tokens()).as(requests.get(i).id()).isEqualTo(alone.get(i));
    }
    assertThat(attended(together.get(1))).isLessThan(attended(together.get(0)));
  }

  private static long attended(Answer answer) {
    Finish finish = answer.finished.join();
    return finish.usage().attendedTokens();
  }

  @Test
  void anotherPromptOrAnotherSubmissionIsPrefilledOnItsOwn() throws Exception {
    long before = engine.status().promptTokens();
    submit(List.of(request("a", 5), request("b", 6)));
    assertThat(engine.status().promptTokens() - before).isEqualTo(2 * PROMPT);
    List<Answer> answers = List.of(new Answer(), new Answer());
    for (Answer answer : answers) {
      engine.submit(request("c", 5), answer);
    }
    for (Answer answer : answers) {
      answer.finished.get(1, TimeUnit.MINUTES);
    }
    assertThat(engine.status().promptTokens() - before).isEqualTo(4 * PROMPT);
  }

  @Test
  void oneThatIsCancelledInThePrefillLeavesTheOthersAlone() throws Exception {
    List<GeneratedToken> alone = submit(List.of(request("alone", 7))).getFirst().tokens();
    CompletableFuture<List<Generation>> handles = new CompletableFuture<>();
    Answer cancelled = new Answer();
    Answer kept =
        new Answer() {
          @Override
          public void onPrefill(long done, long total) {
            if (done * 2 > total) {
              handles.join().getFirst().cancel();
            }
          }
        };
    handles.complete(
        engine.submit(
            List.of(
                new Submission(request("cancelled", 7), cancelled),
                new Submission(request("kept", 7), kept))));
    assertThat(cancelled.finished.get(1, TimeUnit.MINUTES).reason())
        .isEqualTo(FinishReason.CANCELLED);
    assertThat(kept.tokens()).isEqualTo(alone);
    // The engine frees seats after it has told the listeners.
    await().until(() -> engine.status().tiers().get(1).kvBytes() == 0);
  }

  @Test
  void moreThanHaveSeatsAreServedInTurns() throws Exception {
    List<GenerationRequest> many =
        IntStream.range(0, SEATS + 2).mapToObj(i -> request("choice " + i, 8)).toList();
    List<Answer> answers = submit(many);
    assertThat(answers)
        .allSatisfy(a -> assertThat(a.tokens()).isEqualTo(answers.getFirst().tokens()));
  }

  @Test
  void allAreTakenOrNone() {
    List<Submission> many =
        IntStream.range(0, SEATS + 5)
            .mapToObj(i -> new Submission(request("choice " + i, 8), new Answer()))
            .toList();
    assertThatThrownBy(() -> engine.submit(many))
        .isInstanceOf(EngineBusyException.class)
        .hasMessageContaining("8 generations at once");
    assertThat(engine.status().running() + engine.status().waiting()).isZero();
  }

  @Test
  void aBudgetAboveThePlansIsRefused() {
    assertThatThrownBy(() -> request("zero", 1).withBudget("zero", 0))
        .hasMessageContaining("the budget must be a share above 0");
  }

  private List<Answer> submit(List<GenerationRequest> requests) throws Exception {
    List<Answer> answers = requests.stream().map(r -> new Answer()).toList();
    engine.submit(
        IntStream.range(0, requests.size())
            .mapToObj(i -> new Submission(requests.get(i), answers.get(i)))
            .toList());
    for (Answer answer : answers) {
      answer.finished.get(1, TimeUnit.MINUTES);
    }
    return answers;
  }

  private static GenerationRequest request(String id, int start) {
    return request(id, start, Sampling.GREEDY);
  }

  private static GenerationRequest request(String id, int start, Sampling sampling) {
    List<Integer> prompt =
        IntStream.range(0, PROMPT).mapToObj(i -> 100 + (start * 31 + i * i) % 4000).toList();
    return new GenerationRequest(id, prompt, sampling, TOKENS, Set.of(), List.of(), 0, true);
  }

  private static class Answer implements GenerationListener {
    private final List<GeneratedToken> tokens = new ArrayList<>();
    private final CompletableFuture<Finish> finished = new CompletableFuture<>();

    /** With their probabilities, which tell whether everything else is the same too. */
    List<GeneratedToken> tokens() throws Exception {
      finished.get(1, TimeUnit.MINUTES);
      return tokens;
    }

    @Override
    public void onToken(GeneratedToken token) {
      tokens.add(token);
    }

    @Override
    public void onFinish(Finish finish) {
      finished.complete(finish);
    }

    @Override
    public void onError(GenerationException error, GenerationUsage took) {
      finished.completeExceptionally(error);
    }
  }
}
