package dev.kvdrive.kv.tier;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.kv.extent.ExtentSpace;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** Who leaves next, whether a pass is made at once or piece by piece. */
class RankingProperties {
  private static final ExtentSpace SPACE = new ExtentSpace(1, 1, 0, 1, 1_000_000);

  /** Frames with extents of random priorities, all of which can leave. */
  private static final class Frames implements Ranking.Candidates {
    final FrameList list;
    final int[] priority;

    Frames(int count, Random random) {
      list = new FrameList(count, SPACE);
      priority = random.ints(count, 0, 50).toArray();
      for (int i = 0; i < count; i++) {
        list.hold(list.take(), i, 0);
      }
    }

    @Override
    public boolean isCandidate(int frame) {
      return list.extent(frame) >= 0;
    }

    @Override
    public int priority(int frame) {
      return priority[frame];
    }
  }

  @Property(tries = 200)
  void allLeaveInTheOrderOfPriorityAndAgeWhileNothingChanges(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = 400) int count,
      @ForAll @IntRange(min = 1, max = 500) int atOnce) {
    Frames frames = new Frames(count, new Random(seed));
    Ranking ranking = new Ranking(frames.list, frames, atOnce);
    List<Integer> left = new ArrayList<>();
    while (true) {
      ranking.begin();
      int frame = ranking.coldest();
      if (frame < 0) {
        break;
      }
      left.add(frame);
      frames.list.drop(frame);
      ranking.pace();
    }
    List<Integer> all = new ArrayList<>();
    for (int frame = 0; frame < count; frame++) {
      all.add(frame);
    }
    all.sort(
        Comparator.<Integer>comparingInt(frame -> frames.priority[frame])
            .thenComparingLong(frames.list::since));
    assertThat(left).isEqualTo(all);
  }

  @Property(tries = 100)
  void whoHasBecomeWarmerIsPassedOver(
      @ForAll long seed, @ForAll @IntRange(min = 2, max = 60) int count) {
    Random random = new Random(seed);
    Frames frames = new Frames(count, random);
    Ranking ranking = new Ranking(frames.list, frames);
    ranking.begin();
    int warmed = ranking.coldest();
    frames.priority[warmed] = 1000;
    assertThat(ranking.coldest()).isNotEqualTo(warmed);
  }
}
