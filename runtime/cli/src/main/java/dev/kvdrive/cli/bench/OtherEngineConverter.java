package dev.kvdrive.cli.bench;

import java.util.Arrays;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads the name of an engine. */
final class OtherEngineConverter implements ITypeConverter<OtherEngine> {
  @Override
  public OtherEngine convert(String name) {
    return Arrays.stream(OtherEngine.values())
        .filter(engine -> engine.toString().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new TypeConversionException(
                    "there is no engine '%s'; there are %s"
                        .formatted(
                            name,
                            Arrays.stream(OtherEngine.values())
                                .map(OtherEngine::toString)
                                .collect(Collectors.joining(", ")))));
  }
}
