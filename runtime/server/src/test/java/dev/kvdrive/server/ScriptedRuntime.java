package dev.kvdrive.server;

import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.Demand;
import dev.kvdrive.server.serving.ModelStart;
import dev.kvdrive.server.serving.ServedModel;
import dev.kvdrive.text.ChatMessage;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.ChatTemplateException;
import dev.kvdrive.text.PromptText;
import dev.kvdrive.text.Tokenizer;
import dev.kvdrive.text.Tokenizers;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The bundled model's tokenizer over an engine that tests play. */
final class ScriptedRuntime implements ModelStart {
  static final String NAME = "scripted/model";
  static final int CONTEXT = 256;
  static final int CONCURRENCY = 2;

  final Tokenizer tokenizer;
  final ScriptedEngine engine;

  ScriptedRuntime() {
    try (Model model = ModelLoader.open(bundledModel())) {
      tokenizer = Tokenizers.fromGguf(((TokenizerSource.Gguf) model.tokenizer()).metadata());
      engine = new ScriptedEngine(model.geometry(), CONTEXT, CONCURRENCY);
    }
  }

  /** The bundled model as a file of its own, also when the engine comes in a jar. */
  static Path bundledModel() {
    ModelSource source = new ModelSource(TestFolder.PATH, HubSettings.from(Map.of()));
    return source.resolve(ModelSource.BUILTIN);
  }

  @Override
  public ServedModel start(Consumer<String> progress) {
    progress.accept("starting the scripted engine");
    return ServedModel.of(
        NAME,
        Instant.ofEpochSecond(1_700_000_000),
        tokenizer,
        Optional.of(new Plain()),
        engine,
        List.of(new Demand(Demand.Tier.GPU, "weights", 40, "40 bytes")));
  }

  @Override
  public void close() {
    engine.close();
  }

  /** A template of one line per message that refuses assistants who speak first. */
  private static final class Plain implements ChatTemplate {
    @Override
    public PromptText prompt(
        List<ChatMessage> messages,
        Map<String, ? extends @Nullable Object> extra,
        boolean addGenerationPrompt) {
      if (messages.getFirst().role().equals("assistant")) {
        throw new ChatTemplateException(
            ChatTemplateException.Cause.REFUSED, "the user speaks first");
      }
      StringBuilder text = new StringBuilder();
      List<Integer> ends = new ArrayList<>();
      for (ChatMessage message : messages) {
        text.append("<|im_start|>").append(message.role()).append('\n');
        ends.add(text.length());
        text.append(message.fields().get("content"));
        ends.add(text.length());
        text.append("<|im_end|>\n");
      }
      text.append(addGenerationPrompt ? "<|im_start|>assistant\n" : "");
      ends.add(text.length());
      return new PromptText(text.toString(), ends.stream().mapToInt(Integer::intValue).toArray());
    }
  }
}
