package dev.kvdrive.bench.speed;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The side of a probe that runs in a process of its own: says READY, then answers every line, a RUN
 * or what {@link PacedProbe} has, with a RESULT, until its input ends. Whatever else the engine
 * prints, the other side skips.
 */
public final class ProbeProcess {
  static final String READY = "KVDRIVE-PROBE READY ";
  static final String RESULT = "KVDRIVE-PROBE RESULT ";
  static final String FAILED = "KVDRIVE-PROBE FAILED ";
  static final String RUN = "RUN";
  static final String SETTLE = "SETTLE ";
  static final String PROMPT = "PROMPT";
  static final String GO = "GO ";

  /** Numbers of a run; behind them those of verbs by their names. */
  private static final int FIELDS = 7;

  private ProbeProcess() {}

  /** Makes the probe. */
  public interface Opening {
    /** Loads the model. */
    Probe open() throws Exception;
  }

  /** Serves standard input; returns when it has ended. */
  public static void serve(Opening opening) {
    PrintStream out = System.out;
    try (Probe probe = opening.open();
        BufferedReader in =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      out.println(READY + probe.description());
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String answer = answer(probe, line);
        if (answer != null) {
          out.println(RESULT + answer);
        }
      }
    } catch (Exception | LinkageError e) {
      out.println(FAILED + (e.getMessage() == null ? e : e.getMessage()));
      e.printStackTrace(System.err);
    }
    out.flush();
  }

  private static @Nullable String answer(Probe probe, String line) throws InterruptedException {
    if (line.equals(RUN)) {
      return encode(probe.run());
    }
    if (!(probe instanceof PacedProbe paced)) {
      return null;
    }
    if (line.equals(PROMPT)) {
      return Long.toString(paced.prompt());
    }
    if (line.startsWith(SETTLE)) {
      paced.settle(Integer.parseInt(line.substring(SETTLE.length())));
      return "";
    }
    return line.startsWith(GO)
        ? encode(paced.go(Integer.parseInt(line.substring(GO.length()))))
        : null;
  }

  static String encode(Stretch stretch) {
    return "%d %d %d %d %d"
        .formatted(
            stretch.tokens(),
            stretch.nanos(),
            stretch.hits(),
            stretch.dramMisses(),
            stretch.nvmeMisses());
  }

  static Stretch decodeStretch(String text) throws IOException {
    try {
      long[] parts = Stream.of(text.split(" ", -1)).mapToLong(Long::parseLong).toArray();
      return new Stretch(Math.toIntExact(parts[0]), parts[1], parts[2], parts[3], parts[4]);
    } catch (NumberFormatException | ArrayIndexOutOfBoundsException e) {
      throw new IOException("a probe said '%s'".formatted(text), e);
    }
  }

  static String encode(SpeedRun run) {
    return "%d %d %d %d %s %s %s%s"
        .formatted(
            run.promptTokens(),
            run.decodeSteps(),
            run.prefillNanos(),
            run.decodeNanos(),
            run.attendedTokens(),
            run.hitRate(),
            run.fetchedBytes(),
            run.verbNanos().entrySet().stream()
                .map(verb -> " " + verb.getKey() + "=" + verb.getValue())
                .collect(Collectors.joining()));
  }

  static SpeedRun decode(String text) throws IOException {
    String[] parts = text.split(" ", -1);
    if (parts.length < FIELDS) {
      throw new IOException("a probe said '%s'".formatted(text));
    }
    try {
      return new SpeedRun(
          Integer.parseInt(parts[0]),
          Integer.parseInt(parts[1]),
          Long.parseLong(parts[2]),
          Long.parseLong(parts[3]),
          Double.parseDouble(parts[4]),
          Double.parseDouble(parts[5]),
          Double.parseDouble(parts[6]),
          verbNanos(Arrays.copyOfRange(parts, FIELDS, parts.length)));
    } catch (NumberFormatException e) {
      throw new IOException("a probe said '%s'".formatted(text), e);
    }
  }

  private static Map<String, Long> verbNanos(String... parts) {
    Map<String, Long> nanos = new TreeMap<>();
    for (String part : parts) {
      int equals = part.indexOf('=');
      nanos.put(part.substring(0, Math.max(0, equals)), Long.valueOf(part.substring(equals + 1)));
    }
    return nanos;
  }
}
