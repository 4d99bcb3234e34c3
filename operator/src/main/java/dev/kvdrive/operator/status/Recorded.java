package dev.kvdrive.operator.status;

import io.fabric8.kubernetes.api.model.Event;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What Kubernetes recorded about an object: an event, of whose repetitions the latest counts.
 *
 * @param reason CamelCase
 * @param message for people
 * @param warning whether it tells of a failure
 * @param at when it was last seen
 */
public record Recorded(String reason, String message, boolean warning, Instant at) {
  /** An event, if it says anything. */
  public static Optional<Recorded> of(Event event) {
    if (event.getReason() == null || event.getMessage() == null) {
      return Optional.empty();
    }
    return Optional.of(
        new Recorded(
            event.getReason(),
            event.getMessage(),
            "Warning".equals(event.getType()),
            lastSeen(event)));
  }

  /** The latest of {@code recorded} that is {@code wanted}. */
  static Optional<Recorded> latest(List<Recorded> recorded, Predicate<Recorded> wanted) {
    // Of equal times the last wins, as the list has them.
    return recorded.stream().filter(wanted).reduce((a, b) -> b.at.isBefore(a.at) ? a : b);
  }

  /** Older and newer reporters fill in different fields. */
  private static Instant lastSeen(Event event) {
    return Stream.of(
            event.getLastTimestamp(),
            event.getSeries() == null || event.getSeries().getLastObservedTime() == null
                ? null
                : event.getSeries().getLastObservedTime().getTime(),
            event.getEventTime() == null ? null : event.getEventTime().getTime(),
            event.getFirstTimestamp(),
            event.getMetadata() == null ? null : event.getMetadata().getCreationTimestamp())
        .flatMap(time -> instant(time).stream())
        .max(Instant::compareTo)
        .orElse(Instant.EPOCH);
  }

  private static Optional<Instant> instant(@Nullable String time) {
    try {
      return Optional.of(Instant.parse(Objects.requireNonNullElse(time, "")));
    } catch (DateTimeParseException e) {
      return Optional.empty();
    }
  }
}
