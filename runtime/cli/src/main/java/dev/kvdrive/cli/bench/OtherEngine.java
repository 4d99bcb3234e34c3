package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.model.HuggingFaceFolder;
import dev.kvdrive.bench.model.RandomModel;
import dev.kvdrive.bench.speed.ForkedProbe;
import dev.kvdrive.bench.speed.LlamaCpp;
import dev.kvdrive.bench.speed.Probe;
import dev.kvdrive.cli.option.ModelName;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.tensor.TensorType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** An engine of others that is measured in turn with this project's. */
enum OtherEngine {
  /** Reads Hugging Face folders; built by the entry script when it is asked for. */
  JLAMA("jlama", "Jlama") {
    private static final String MAIN = "dev.kvdrive.bench.jlama.JlamaProbe";

    // Set by the entry script when it was built.
    private static final String CLASS_PATH = "kvdrive.jlama.classpath";

    @Override
    void require() {
      if (System.getProperty(CLASS_PATH) == null) {
        throw new IllegalArgumentException(
            "Jlama is not built; use ./kvdrive bench --beside jlama, which builds it");
      }
    }

    @Override
    Path file(RandomModel model, Path cache) {
      return model.in(cache);
    }

    @Override
    Probe start(Asked asked, Terminal terminal) {
      return ForkedProbe.start(
          System.getProperty(CLASS_PATH),
          2 * BenchRun.HEAP_BYTES,
          MAIN,
          asked.log(),
          List.of(
              folder(asked, terminal).toString(),
              Integer.toString(asked.prompt()),
              Integer.toString(asked.tokens()),
              Integer.toString(asked.threads())));
    }

    // The model as a Hugging Face folder in BF16.
    private Path folder(Asked asked, Terminal terminal) {
      if (Files.isDirectory(asked.file())) {
        return asked.file();
      }
      Path cache = LocalRuntime.cacheFolder();
      if (RandomModel.is(asked.model())) {
        return new RandomModel(RandomModel.parse(asked.model()).shape(), TensorType.BF16).in(cache);
      }
      try (Model model = ModelLoader.open(asked.file(), 0, ModelLoader.Verification.NONE)) {
        Path folder =
            cache
                .resolve("converted")
                .resolve(
                    ModelName.of(asked.file().toString()) + "-" + model.geometry().weightBytes());
        terminal.line(
            "Converting %s to BF16 in %s if it is not there ...".formatted(asked.file(), folder));
        HuggingFaceFolder.convert(model, folder);
        return folder;
      }
    }

    @Override
    String weights(String name, Path file) {
      return Files.isDirectory(file) ? name : name + " converted to BF16";
    }
  },

  /** Reads GGUF files; has to be installed. */
  LLAMA_CPP("llama.cpp", "llama.cpp") {
    @Override
    void require() {
      LlamaCpp.find(System.getenv());
    }

    @Override
    Path file(RandomModel model, Path cache) {
      return model.gguf(cache);
    }

    @Override
    Probe start(Asked asked, Terminal terminal) {
      if (Files.isDirectory(asked.file())
          || !asked.file().toString().toLowerCase(Locale.ROOT).endsWith(".gguf")) {
        throw new IllegalArgumentException(
            "llama.cpp reads GGUF files, and %s is none; name a GGUF file of the model"
                .formatted(asked.file()));
      }
      return LlamaCpp.find(System.getenv())
          .start(asked.file(), asked.prompt(), asked.tokens(), asked.threads(), asked.log());
    }

    @Override
    String weights(String name, Path file) {
      return name;
    }
  };

  private final String key;
  private final String words;

  OtherEngine(String key, String words) {
    this.key = key;
    this.words = words;
  }

  /**
   * What it is to do.
   *
   * @param model its address
   * @param file of the model, which this project's engine reads
   * @param prompt tokens of each run
   * @param tokens to write in each run
   * @param threads that compute
   * @param log takes what it prints
   */
  record Asked(String model, Path file, int prompt, int tokens, int threads, Path log) {}

  /** Its own name. */
  String words() {
    return words;
  }

  /**
   * Checks that it can be started here.
   *
   * @throws IllegalArgumentException if not, with the way out
   */
  abstract void require();

  /** The file of a random model that both engines read, or of which it makes what it reads. */
  abstract Path file(RandomModel model, Path cache);

  /** Starts it. */
  abstract Probe start(Asked asked, Terminal terminal);

  /** What it has of a model, in words. */
  abstract String weights(String name, Path file);

  /** The name by which users ask for it. */
  @Override
  public String toString() {
    return key;
  }
}
