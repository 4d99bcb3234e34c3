package dev.kvdrive.cli.bench;

import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.plan.Workspace;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads {@code auto} or a number of parts, as {@link DecodeOptions#microBatches} has them. */
final class MicroBatchesConverter implements ITypeConverter<Integer> {
  /** As many as make steps fastest. */
  static final String AUTO = "auto";

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
