package dev.kvdrive.cli.option;

import dev.kvdrive.plan.PolicyShape;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Policies on the command line: kvdrive, quest. */
public final class PolicyConverter implements ITypeConverter<PolicyShape> {
  @Override
  public PolicyShape convert(String value) {
    try {
      return PolicyShape.named(value);
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }
}
