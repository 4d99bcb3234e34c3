package dev.kvdrive.cli.option;

import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Times on the command line: 90s, 9m, 2h. */
public final class TimeConverter implements ITypeConverter<Duration> {
  private static final Pattern TIME = Pattern.compile("([1-9][0-9]{0,5})([smh])");

  @Override
  public Duration convert(String value) {
    Matcher time = TIME.matcher(value);
    if (!time.matches()) {
      throw new TypeConversionException(
          "'%s' is no time; write for instance 90s, 9m or 2h".formatted(value));
    }
    long count = Long.parseLong(time.group(1));
    return switch (time.group(2)) {
      case "s" -> Duration.ofSeconds(count);
      case "m" -> Duration.ofMinutes(count);
      default -> Duration.ofHours(count);
    };
  }
}
