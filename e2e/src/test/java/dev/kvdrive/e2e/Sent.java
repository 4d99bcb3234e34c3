package dev.kvdrive.e2e;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What has become of a request of {@code Load}.
 *
 * @param user index of who sent it
 * @param number the number of that user's requests so far
 * @param began milliseconds after which it was sent
 * @param ended milliseconds after which its answer, or what went wrong, was there
 * @param whole whether the answer was a success and came to its end
 * @param said the answer's text, or what went wrong
 */
record Sent(int user, long number, long began, long ended, boolean whole, String said) {
  private static final Pattern LOGGED =
      Pattern.compile("(\\d+) (\\d+) (\\d+) (\\d+) (?:(whole) |failed: )(.*)");

  /** Reads what a load's log says so far; its last line may be half written. */
  static List<Sent> readLog(String log) {
    return log.substring(0, log.lastIndexOf('\n') + 1)
        .lines()
        .map(LOGGED::matcher)
        .filter(Matcher::matches)
        .map(
            m ->
                new Sent(
                    Integer.parseInt(m.group(1)),
                    Long.parseLong(m.group(2)),
                    Long.parseLong(m.group(3)),
                    Long.parseLong(m.group(4)),
                    m.group(5) != null,
                    m.group(6)))
        .toList();
  }
}
