package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** What is best of many: selected chunks and slots that leave. */
class OrderTest {
  @Property(tries = 500)
  void selectsTheBestChunksTheLowerFirstAmongEquals(
      @ForAll @Size(min = 1, max = 300) float[] scores,
      @ForAll @IntRange(min = 1, max = 300) int wanted,
      @ForAll boolean coarse) {
    float[] x = scores.clone();
    if (coarse) { // many equals
      for (int i = 0; i < x.length; i++) {
        x[i] = Math.round(x[i] * 2) % 3;
      }
    }
    int count = Math.min(wanted, x.length);
    assertThat(select(x, count)).isEqualTo(expected(x, count));
  }

  @Example
  void ordersInfinitiesAndBothZeros() {
    float[] x = {
      -0f, Float.NEGATIVE_INFINITY, 0f, Float.POSITIVE_INFINITY, -1f, Float.MIN_VALUE, -1e-40f
    };
    for (int count = 1; count <= x.length; count++) {
      assertThat(select(x, count)).isEqualTo(expected(x, count));
    }
  }

  private static int[] select(float[] x, int count) {
    try (Arena arena = Arena.ofConfined()) {
      long scores = arena.allocate(4L * x.length, 4).address();
      long selected = arena.allocate(4L * count, 4).address();
      for (int i = 0; i < x.length; i++) {
        Memory.putFloat(scores + 4L * i, x[i]);
      }
      TopChunks.select(
          scores, x.length, count, selected, new int[x.length], new int[1 << TopChunks.DIGIT_BITS]);
      return IntStream.range(0, count).map(i -> Memory.getInt(selected + 4L * i)).toArray();
    }
  }

  private static int[] expected(float[] x, int count) {
    // Adding 0 makes one zero of the two.
    Comparator<Integer> best = Comparator.comparingDouble(i -> -(x[i] + 0.0));
    return IntStream.range(0, x.length)
        .boxed()
        .sorted(best.thenComparing(Comparator.naturalOrder()))
        .limit(count)
        .mapToInt(Integer::intValue)
        .sorted()
        .toArray();
  }

  @Property(tries = 500)
  void keepsTheLowestKeys(
      @ForAll @Size(min = 1, max = 200) long[] keys, @ForAll @IntRange(min = 1, max = 200) int k) {
    long[] heap = new long[k];
    int size = 0;
    for (long key : keys) {
      size = LowestKeys.offer(heap, size, k, key);
    }
    LowestKeys.sort(heap, size);
    assertThat(Arrays.copyOf(heap, size))
        .isEqualTo(LongStream.of(keys).sorted().limit(k).toArray());
  }
}
