package dev.kvdrive.cli.option;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Methods on the command line: kvdrive, quest, pqcache. */
public final class PolicyConverter implements ITypeConverter<Method> {
  @Override
  public Method convert(String value) {
    try {
      return Method.named(value);
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }
}
