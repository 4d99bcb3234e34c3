package dev.kvdrive.cli;

import dev.kvdrive.plan.ByteSize;
import picocli.CommandLine.ITypeConverter;

/** Sizes on the command line: 512Mi, 24Gi, 1.5G. */
final class ByteSizeConverter implements ITypeConverter<Long> {
  @Override
  public Long convert(String value) {
    return ByteSize.parse("size", value);
  }
}
