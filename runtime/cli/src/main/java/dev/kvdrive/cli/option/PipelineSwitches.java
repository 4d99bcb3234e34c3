package dev.kvdrive.cli.option;

import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.plan.Workspace;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Switches of the pipeline of a step, for measurements: no token depends on them. */
public final class PipelineSwitches {
  private static final String AUTO = "auto";

  @Option(
      names = "--no-pipeline",
      negatable = true,
      description = "Fetch what a window misses before anything else is computed.")
  private boolean pipeline = true;

  @Option(
      names = "--micro-batches",
      paramLabel = "N",
      converter = Depth.class,
      defaultValue = AUTO,
      description =
          "Parts into which the rows of a step are cut, so that one part's misses are fetched while"
              + " the next one selects: auto, 1, 2 or 4 (default: ${DEFAULT-VALUE}).")
  private int microBatches;

  /** Whether there is a pipeline. */
  public boolean on() {
    return pipeline;
  }

  /** As {@link DecodeOptions#microBatches}. */
  public int microBatches() {
    return microBatches;
  }

  /** Reads {@code auto} or a number of parts. */
  static final class Depth implements ITypeConverter<Integer> {
    @Override
    public Integer convert(String value) {
      if (value.equals(AUTO)) {
        return DecodeOptions.ELASTIC;
      }
      for (int depth = 1; depth <= Workspace.MOST_MICRO_BATCHES; depth *= 2) {
        if (value.equals(Integer.toString(depth))) {
          return depth;
        }
      }
      throw new TypeConversionException(
          "'%s' is neither auto nor 1, 2 or %d".formatted(value, Workspace.MOST_MICRO_BATCHES));
    }
  }
}
