package dev.kvdrive.bench.simulate;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.bench.simulate.Recording.Chosen;
import dev.kvdrive.kv.policy.SelectionObserver.Purpose;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.RepetitionInfo;
import org.junit.jupiter.api.Test;

class WindowModelTest {
  private static final int CHUNKS = 8;

  private static Chosen step(int position, int... chunks) {
    return new Chosen(
        Purpose.STEP,
        0,
        0,
        0,
        position,
        CHUNKS,
        chunks,
        IntStream.range(0, CHUNKS).toArray(),
        new float[CHUNKS]);
  }

  private static int misses(List<Chosen> steps, int slots, int pass, Keeping keeping) {
    WindowModel window = new WindowModel(CHUNKS);
    window.resize(slots);
    Future future = new Future(CHUNKS);
    for (Chosen step : steps) {
      for (int chunk : step.chunks()) {
        future.selects(chunk, step.position());
      }
    }
    window.open(future);
    int misses = 0;
    for (Chosen step : steps) {
      misses += step.chunks().length - window.use(step, keeping, pass, chunk -> {});
    }
    return misses;
  }

  @Test
  void whatIsNeededLastLeavesFirst() {
    List<Chosen> steps = List.of(step(1, 0), step(2, 1), step(3, 2), step(4, 0), step(5, 1));
    assertThat(misses(steps, 2, 1, Keeping.BELADY)).isEqualTo(4);
    assertThat(misses(steps, 2, 1, Keeping.LRU)).isEqualTo(5);
  }

  @Test
  void whatALaterPassOfTheStepNeedsStays() {
    List<Chosen> steps = List.of(step(1, 5), step(2, 6), step(3, 0, 5), step(4, 0), step(5, 6));
    // The first pass of the third step takes the place of 6, not that of 5, which the second needs.
    assertThat(misses(steps, 2, 1, Keeping.BELADY)).isEqualTo(4);
  }

  /** The fewest misses of all ways to choose what leaves. */
  private static int fewest(
      List<Chosen> steps, int at, int window, int slots, Map<Integer, Integer> known) {
    if (at == steps.size()) {
      return 0;
    }
    Integer before = known.get(at << CHUNKS | window);
    if (before != null) {
      return before;
    }
    int needed = Arrays.stream(steps.get(at).chunks()).map(chunk -> 1 << chunk).sum();
    int best = Integer.MAX_VALUE;
    int all = window | needed;
    for (int kept = 0; kept < 1 << CHUNKS; kept++) {
      if ((kept & ~all) == 0 && (kept & needed) == needed && Integer.bitCount(kept) <= slots) {
        best = Math.min(best, fewest(steps, at + 1, kept, slots, known));
      }
    }
    int fewest = best + Integer.bitCount(needed & ~window);
    known.put(at << CHUNKS | window, fewest);
    return fewest;
  }

  @RepeatedTest(10)
  void whoKnowsTheFutureMissesAsLittleAsAnyoneCan(RepetitionInfo repetition) {
    SplittableRandom random = new SplittableRandom(repetition.getCurrentRepetition());
    List<Chosen> steps =
        IntStream.range(0, 20)
            .mapToObj(
                position -> {
                  TreeSet<Integer> chunks = new TreeSet<>();
                  while (chunks.size() < 2) {
                    chunks.add(random.nextInt(CHUNKS));
                  }
                  return step(position, chunks.stream().mapToInt(chunk -> chunk).toArray());
                })
            .toList();
    for (int slots = 2; slots < 6; slots++) {
      assertThat(misses(steps, slots, 2, Keeping.BELADY))
          .isEqualTo(fewest(steps, 0, 0, slots, new HashMap<>()));
    }
  }
}
