package dev.kvdrive.cli.option;

import java.net.URI;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Where a collector takes traces: an address of HTTP, with or without {@value #TRACES}. */
public final class CollectorConverter implements ITypeConverter<URI> {
  private static final String TRACES = "/v1/traces";

  @Override
  public URI convert(String value) {
    String address = value.replaceAll("/+$", "");
    try {
      URI uri = URI.create(address.endsWith(TRACES) ? address : address + TRACES);
      String scheme = uri.getScheme() == null ? "" : uri.getScheme().toLowerCase(Locale.ROOT);
      if (uri.getHost() != null && (scheme.equals("http") || scheme.equals("https"))) {
        return uri;
      }
    } catch (IllegalArgumentException e) {
      // told below, like an address of something else
    }
    throw new TypeConversionException(
        "'%s' is no address of a collector for OTLP over HTTP; write for instance http://localhost:4318"
            .formatted(value));
  }
}
