package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.schedule.KilledEngine.Moment;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/**
 * An engine's process may be killed at any moment: whoever starts on the same volume afterwards
 * says the same tokens, and finds room, since nothing of the dead stays there.
 */
public abstract class KillConformance extends EngineTest {
  /** Processes that are killed, and where it begins; docs/results/faults.md has a long one. */
  private static final int KILLS = Integer.getInteger("kvdrive.kills", 3);

  private static final long SEED = Long.getLong("kvdrive.seed", 1);
  private static final int SIGKILL = 137;
  private static final List<Moment> MOMENTS =
      List.copyOf(EnumSet.complementOf(EnumSet.of(Moment.NONE)));

  /** What one that starts writes, whatever is left, to see whether a drive takes O_DIRECT. */
  private static final long BLOCK = 4096;

  /** Counted by those whose writes are limited. */
  private int day;

  private int starts;
  private int startsToday;
  private long writtenToday;

  /** What the process opens. */
  protected abstract DeviceKind kind();

  @Test
  void whereverAProcessIsKilledTheNextOneOnItsVolumeIsRightAndNothingIsLeft() throws Exception {
    List<List<String>> expected = withoutFaults();
    Random random = new Random(SEED);
    Map<Moment, Integer> killed = new EnumMap<>(Moment.class);
    int tokens = 0;
    int restarts = 0;
    int files = 0;
    int kill = 0;
    while (kill < KILLS) {
      // The first of them is in the middle of a write whatever the seed.
      Moment moment = kill == 0 ? Moment.IN_WRITE : MOMENTS.get(random.nextInt(MOMENTS.size()));
      int access = moment == Moment.CREATE || moment == Moment.CLOSE ? 1 : 1 + random.nextInt(60);
      Said said = run(moment, access);
      if (said.lines().contains(KilledEngine.SPENT) && said.code() == 0) {
        tokens += assertRight(said, expected, false);
        nextDay();
        continue;
      }
      kill++;
      assertThat(said.code()).as("killed %s %d", moment, access).isEqualTo(SIGKILL);
      tokens += assertRight(said, expected, false);
      killed.merge(moment, 1, Integer::sum);
      if (kill == 1) {
        files = said.files();
        assertThat(files).as("files of a process that found none").isPositive();
      }
      // One that had made its own beside those of the dead would have more.
      assertThat(said.files()).as("files while it ran").isLessThanOrEqualTo(files);
      if (random.nextInt(3) == 0 || kill == KILLS) {
        if (SWEEP_WRITES > 0) {
          nextDay(); // so that nothing is refused
        }
        Said after = run(Moment.NONE, 1);
        assertThat(after.code()).isZero();
        tokens += assertRight(after, expected, true);
        restarts++;
        assertThat(nvmeFiles()).as("files left").isEmpty();
      }
    }
    System.getLogger(KillConformance.class.getName())
        .log(
            System.Logger.Level.INFO,
            "{0} processes killed ({1}), {2} ended by themselves on the same volume, on {5} days: {3} tokens, all right; never more than the {4} files of one",
            KILLS,
            killed,
            restarts,
            tokens,
            files,
            day + 1);
  }

  /**
   * What a process said before it ended.
   *
   * @param files of extents that there were when it stood, or ended
   */
  private record Said(int code, List<String> lines, int files) {
    /** The numbers in lines that begin so. */
    LongStream numbers(String prefix) {
      return lines.stream()
          .filter(line -> line.startsWith(prefix))
          .mapToLong(line -> Long.parseLong(line.substring(prefix.length())));
    }
  }

  private List<List<String>> withoutFaults() {
    List<List<String>> answers = new ArrayList<>();
    try (KvDriveEngine engine = start(EngineShape.roomy(1))) {
      for (GenerationRequest request : KilledEngine.requests()) {
        int number = answers.size();
        answers.add(
            generate(engine, request).tokens().stream()
                .map(token -> KilledEngine.line(number, token))
                .toList());
      }
    }
    return answers;
  }

  private void nextDay() {
    day++;
    startsToday = 0;
    writtenToday = 0;
  }

  /** Runs a process; whatever became of it, it and those before it wrote no more than it counts. */
  private Said run(Moment moment, int access) throws IOException, InterruptedException {
    EngineSizes sizes = KilledEngine.shape().sizes(model.geometry(), device);
    long perDay = writes(sizes, 204, SWEEP_WRITES);
    Said said = run(moment, access, perDay);
    startsToday++;
    long most = perDay + startsToday * BLOCK;
    if (perDay > 0) {
      said.numbers(KilledEngine.COUNTED)
          .forEach(counted -> assertThat(counted).as("counted").isBetween(writtenToday, most));
      writtenToday += said.numbers(KilledEngine.WROTE).sum();
      assertThat(writtenToday).as("written").isLessThanOrEqualTo(most);
    }
    return said;
  }

  private Said run(Moment moment, int access, long perDay)
      throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules",
                "jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-cp",
                System.getProperty("java.class.path"),
                KilledEngine.class.getName(),
                kind().name(),
                directory.toString(),
                moment.name(),
                Integer.toString(access),
                Long.toString(perDay),
                Integer.toString(day),
                form(starts++).word())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    List<String> lines = new ArrayList<>();
    int files = 0;
    try (BufferedReader out = process.inputReader()) {
      String line;
      while ((line = out.readLine()) != null) {
        lines.add(line);
        if (line.equals(KilledEngine.STANDS)) {
          files = nvmeFiles().size();
          process.toHandle().destroyForcibly(); // SIGKILL; what was said can still be read
        }
      }
      assertThat(process.waitFor(2, TimeUnit.MINUTES)).isTrue();
    } finally {
      process.destroyForcibly();
    }
    return new Said(process.exitValue(), lines, files);
  }

  /**
   * Checks that what was said of each request is what is said without faults, again and again.
   *
   * @return tokens compared
   */
  private static int assertRight(Said said, List<List<String>> expected, boolean whole) {
    int compared = 0;
    for (int request = 0; request < expected.size(); request++) {
      String prefix = request + KilledEngine.TOKEN;
      List<String> tokens = said.lines().stream().filter(line -> line.startsWith(prefix)).toList();
      List<String> answer = expected.get(request);
      for (int i = 0; i < tokens.size(); i++) {
        assertThat(tokens.get(i)).isEqualTo(answer.get(i % answer.size()));
      }
      if (whole) {
        assertThat(tokens).hasSameSizeAs(answer);
      }
      compared += tokens.size();
    }
    return compared;
  }
}
