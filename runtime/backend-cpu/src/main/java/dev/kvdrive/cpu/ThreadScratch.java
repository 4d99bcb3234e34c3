package dev.kvdrive.cpu;

import dev.kvdrive.device.TokenDraw;
import java.lang.foreign.Arena;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Working memory of one compute thread, kept between operations. A region is valid until the same
 * use asks for a larger one; its sizes are bounded by the shapes of the model and a block of
 * queries, a few MiB at most, so that it is part of the process' overhead and not of the GPU tier.
 */
final class ThreadScratch {
  /** What a region is used for; regions of different uses never overlap. */
  enum Use {
    QUERIES,
    KEYS,
    VALUES,
    SCORES,
    WEIGHTS,
    SUMS,
    MAXIMA,
    OUTPUT
  }

  private static final int CACHE_LINE = 64;

  private record Region(long address, long bytes) {}

  private final Arena arena;
  private final Map<Use, Region> regions = new EnumMap<>(Use.class);
  private final Map<Use, float[]> arrays = new EnumMap<>(Use.class);
  private int[] ints = {};
  private long[] longs = {};
  private double[] doubles = {};
  private boolean[] flags = {};
  private @Nullable TokenDraw draw;
  private int drawWidth;

  /** Written so that the reads of {@link #touch} stay. */
  private int touched;

  private final int[] histogram = new int[1 << TopChunks.DIGIT_BITS];

  /**
   * @param arena owns the memory; regions that were outgrown stay until it closes, less in all than
   *     the last one
   */
  ThreadScratch(Arena arena) {
    this.arena = arena;
  }

  /** Address of at least {@code count} floats and one vector more, 64-byte aligned, not cleared. */
  long floats(Use use, long count) {
    long bytes = 4 * (count + Lanes.N);
    Region region = regions.get(use);
    if (region == null || region.bytes < bytes) {
      long grown = Math.max(4096, Long.highestOneBit(bytes - 1) << 1);
      region = new Region(arena.allocate(grown, 64).address(), grown);
      regions.put(use, region);
    }
    return region.address;
  }

  /** At least {@code count} floats in an array, not cleared. */
  float[] array(Use use, int count) {
    float[] array = arrays.get(use);
    if (array == null || array.length < count) {
      array = new float[Math.max(1024, Integer.highestOneBit(count - 1) << 1)];
      arrays.put(use, array);
    }
    return array;
  }

  /**
   * Reads every cache line of a region, so that memory is fetched while something else is computed:
   * chunks lie all over a window, where the processor does not foresee the next one.
   */
  void touch(long address, long bytes) {
    int sum = touched;
    for (long i = 0; i < bytes; i += CACHE_LINE) {
      sum += Memory.getInt(address + i);
    }
    touched = sum;
  }

  /** At least {@code count} ints, not cleared. */
  int[] ints(int count) {
    if (ints.length < count) {
      ints = new int[Integer.highestOneBit(Math.max(1, count - 1)) << 1];
    }
    return ints;
  }

  /** At least {@code count} longs, not cleared. */
  long[] longs(int count) {
    if (longs.length < count) {
      longs = new long[Integer.highestOneBit(Math.max(1, count - 1)) << 1];
    }
    return longs;
  }

  /** At least {@code count} doubles, not cleared. */
  double[] doubles(int count) {
    if (doubles.length < count) {
      doubles = new double[Integer.highestOneBit(Math.max(1, count - 1)) << 1];
    }
    return doubles;
  }

  /** At least {@code count} flags, not cleared. */
  boolean[] flags(int count) {
    if (flags.length < count) {
      flags = new boolean[Integer.highestOneBit(Math.max(1, count - 1)) << 1];
    }
    return flags;
  }

  /** What draws from rows of that many logits. */
  TokenDraw draw(int width) {
    if (draw == null || drawWidth != width) {
      draw = new TokenDraw(width);
      drawWidth = width;
    }
    return draw;
  }

  /** Counts of one digit, not cleared. */
  int[] histogram() {
    return histogram;
  }
}
