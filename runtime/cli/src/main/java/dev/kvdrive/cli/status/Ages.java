package dev.kvdrive.cli.status;

import dev.kvdrive.cli.terminal.Quantities;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import org.jspecify.annotations.Nullable;

/** How long ago something was, from the times that Kubernetes writes. */
final class Ages {
  private static final Duration DAYS_FROM = Duration.ofDays(2);

  private Ages() {}

  /** As in a table: {@code 42 s}, {@code 3 h 07 min}, {@code 5 d}; {@code -} if nobody knows. */
  static String of(@Nullable String time, Instant now) {
    if (time == null) {
      return "-";
    }
    try {
      Duration age = Duration.between(OffsetDateTime.parse(time).toInstant(), now);
      if (age.isNegative()) {
        return "0 s";
      }
      return age.compareTo(DAYS_FROM) < 0
          ? Quantities.duration(Duration.ofSeconds(age.toSeconds()))
          : age.toDays() + " d";
    } catch (DateTimeException e) {
      return "-";
    }
  }
}
