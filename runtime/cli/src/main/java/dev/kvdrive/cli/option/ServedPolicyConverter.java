package dev.kvdrive.cli.option;

import dev.kvdrive.plan.PolicyShape;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Policies that the engine has, which can be planned and served. */
public final class ServedPolicyConverter implements ITypeConverter<PolicyShape> {
  @Override
  public PolicyShape convert(String value) {
    try {
      return PolicyShape.named(value);
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }
}
