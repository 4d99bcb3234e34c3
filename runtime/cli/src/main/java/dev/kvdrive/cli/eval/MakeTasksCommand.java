package dev.kvdrive.cli.eval;

import dev.kvdrive.bench.document.TaskFamily;
import dev.kvdrive.bench.document.TaskMaker;
import dev.kvdrive.bench.engine.LocalEngine;
import dev.kvdrive.bench.eval.EvalTask;
import dev.kvdrive.cli.option.Bounded;
import dev.kvdrive.cli.option.OutputFileConverter;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive eval make-tasks}: task files of any length. */
@Command(
    name = "make-tasks",
    description = "Makes a task file: long documents with facts in them, from a seed.",
    mixinStandardHelpOptions = true)
public final class MakeTasksCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--length",
      paramLabel = "TOKENS",
      converter = Bounded.Positive.class,
      split = ",",
      required = true,
      description = "Bounds of prompt and answer together, for instance 4096,16384.")
  private List<Integer> lengths;

  @Option(
      names = "--samples",
      paramLabel = "N",
      converter = Bounded.Positive.class,
      defaultValue = "4",
      description =
          "Samples of each task and length, with facts at even depths (default:"
              + " ${DEFAULT-VALUE}).")
  private int samples;

  @Option(
      names = "--seed",
      defaultValue = "1",
      description = "Of everything that is drawn (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--task",
      paramLabel = "NAME",
      split = ",",
      description = "Families: ${COMPLETION-CANDIDATES} (default: all).")
  private List<TaskFamily> families = List.of(TaskFamily.values());

  @Option(
      names = "--model",
      paramLabel = "URI",
      defaultValue = ModelSource.BUILTIN,
      description = "Whose tokens are counted (default: ${DEFAULT-VALUE}).")
  private String model;

  @Option(
      names = "--out",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      required = true,
      description = "Where to write it, .jsonl or .jsonl.gz.")
  private Path out;

  @Override
  public Integer call() {
    Path file =
        new ModelSource(LocalRuntime.cacheFolder(), HubSettings.from(System.getenv()))
            .resolve(model);
    try (Model opened = ModelLoader.open(file, 0, ModelLoader.Verification.NONE)) {
      Tokenizer tokenizer = LocalEngine.tokenizer(opened.tokenizer());
      TaskMaker maker = new TaskMaker(seed, text -> tokenizer.encode(text, false).length);
      EvalTask.write(out, tasks(maker));
    }
    spec.commandLine()
        .getOut()
        .printf("%d tasks are in %s.%n", families.size() * lengths.size() * samples, out);
    return 0;
  }

  private List<EvalTask> tasks(TaskMaker maker) {
    try {
      return maker.makeAll(families, lengths, samples);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), "--length: " + e.getMessage(), e);
    }
  }
}
