package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.model.NamedShape;
import dev.kvdrive.bench.model.WidenedModel;
import dev.kvdrive.cli.option.OutputFileConverter;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.terminal.Terminal;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.source.HubSettings;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.model.tensor.TensorType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code ./kvdrive bench widen}: a small model in the shape of a large one. */
@Command(
    name = "widen",
    description =
        "Writes a small Llama of a GGUF file in the shape of a large one: it answers what the small"
            + " one answers, with attention that looks at something, at the cost of the large one.",
    mixinStandardHelpOptions = true)
public final class WidenCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      paramLabel = "URI",
      defaultValue = ModelSource.BUILTIN,
      description = "The small model (default: ${DEFAULT-VALUE}).")
  private String model;

  @Option(
      names = "--shape",
      paramLabel = "NAME",
      defaultValue = "llama-3-8b",
      description = "llama-3-8b or llama-3.2-1b (default: ${DEFAULT-VALUE}).")
  private String shape;

  @Option(
      names = "--type",
      paramLabel = "TYPE",
      defaultValue = "BF16",
      description =
          "Of the matrices: bf16, q8_0 or f32; an 8B shape has 15, 8 or 30 GB"
              + " (default: ${DEFAULT-VALUE}).")
  private TensorType type;

  @Option(
      names = "--out",
      paramLabel = "FILE",
      converter = OutputFileConverter.class,
      required = true,
      description = "GGUF file to write; replaced if it is there.")
  private Path out;

  @Override
  public Integer call() {
    if (type != TensorType.BF16 && type != TensorType.Q8_0 && type != TensorType.F32) {
      throw new ParameterException(
          spec.commandLine(),
          "--type %s: widened models have type bf16, q8_0 or f32".formatted(type));
    }
    Terminal progress = Terminal.of(spec.commandLine().getErr());
    Path file =
        new ModelSource(LocalRuntime.cacheFolder(), HubSettings.from(System.getenv()))
            .resolve(model);
    if (Files.exists(out) && file.toAbsolutePath().equals(out.toAbsolutePath())) {
      throw new ParameterException(
          spec.commandLine(), "--out %s is the small model itself; name another".formatted(out));
    }
    try (Model small = ModelLoader.open(file, 0, ModelLoader.Verification.SAMPLE)) {
      NamedShape wide = NamedShape.of(shape);
      progress.line("Writing %s in the shape of %s ...".formatted(small.spec().name(), shape));
      WidenedModel.write(small, wide.shape(), type, out);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()));
    }
    progress.line(
        "Wrote %s. A fitted index needs a calibration of it: ./kvdrive calibrate --model %s"
            .formatted(out, out));
    return 0;
  }
}
