package dev.kvdrive.cli.option;

import dev.kvdrive.plan.NvmeEncryption;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A form of extents on NVMe on the command line: none, aes-gcm. */
public final class EncryptionConverter implements ITypeConverter<NvmeEncryption> {
  @Override
  public NvmeEncryption convert(String value) {
    try {
      return NvmeEncryption.parse(value);
    } catch (IllegalArgumentException e) {
      throw new TypeConversionException(e.getMessage());
    }
  }
}
