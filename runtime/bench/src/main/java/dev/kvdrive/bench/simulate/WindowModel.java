package dev.kvdrive.bench.simulate;

import static java.util.Objects.requireNonNull;

import dev.kvdrive.bench.simulate.Recording.Chosen;
import dev.kvdrive.device.Uses;
import dev.kvdrive.kv.policy.SelectionObserver.Purpose;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * One window as a device has it: places with chunks, of which a miss gets the lowest empty one or
 * that of the chunk with the lowest key that the pass does not need, the lower place among equals.
 */
final class WindowModel {
  private static final double DECAY = 0.75;

  private final int[] placeOfChunk;
  private int[] chunkOfPlace = {};
  private double[] keyOfPlace = {};

  /** How often each chunk was looked up, when last, and with which share, for rules that ask. */
  private final int[] times;

  private final int[] lastPosition;

  private final float[] lastShare;

  /** For the rule that asks; null for the others. */
  private @Nullable Future future;

  WindowModel(int maxChunks) {
    placeOfChunk = new int[maxChunks];
    times = new int[maxChunks];
    lastPosition = new int[maxChunks];
    lastShare = new float[maxChunks];
    Arrays.fill(placeOfChunk, -1);
  }

  int slots() {
    return chunkOfPlace.length;
  }

  /**
   * A new sequence.
   *
   * @param known what it will select; null if the rule does not ask
   */
  void open(@Nullable Future known) {
    future = known;
    Arrays.fill(times, 0);
    Arrays.fill(placeOfChunk, -1);
    Arrays.fill(chunkOfPlace, -1);
    Arrays.fill(lastPosition, -1);
  }

  /** Loses the last places, or gets empty ones. */
  void resize(int slots) {
    int before = chunkOfPlace.length;
    for (int place = slots; place < before; place++) {
      if (chunkOfPlace[place] >= 0) {
        placeOfChunk[chunkOfPlace[place]] = -1;
      }
    }
    chunkOfPlace = Arrays.copyOf(chunkOfPlace, slots);
    keyOfPlace = Arrays.copyOf(keyOfPlace, slots);
    if (slots > before) {
      Arrays.fill(chunkOfPlace, before, slots, -1);
    }
  }

  /** What is told of each miss. */
  interface Missed {
    void chunk(int chunk);
  }

  /**
   * Looks up what was chosen, pass by pass.
   *
   * @return hits
   */
  int use(Chosen choice, Keeping keeping, int passChunks, Missed missed) {
    int hits = 0;
    int[] chunks = choice.chunks();
    for (int from = 0; from < chunks.length; from += passChunks) {
      int to = Math.min(chunks.length, from + passChunks);
      key(choice, from, keeping);
      hits += pass(chunks, from, to, missed);
      note(choice, from, to);
    }
    return hits;
  }

  private void key(Chosen choice, int from, Keeping keeping) {
    for (int place = 0; place < chunkOfPlace.length; place++) {
      int chunk = chunkOfPlace[place];
      if (chunk >= 0) {
        keyOfPlace[place] = choice.all() ? -chunk : key(choice, from, keeping, chunk);
      }
    }
  }

  private double key(Chosen choice, int from, Keeping keeping, int chunk) {
    return switch (keeping) {
      case LOOKAHEAD ->
          score(choice, chunk)
              + Uses.merit(Uses.of(times[chunk], lastPosition[chunk]), choice.position());
      case SCORES -> score(choice, chunk);
      case LRU -> lastPosition[chunk];
      case DECAYED ->
          lastShare[chunk] + Math.log(DECAY) * (choice.position() - lastPosition[chunk]);
      case BELADY -> -(double) next(choice, from, chunk);
    };
  }

  /** When a chunk is selected next: now, if a pass from there on or a step that follows does so. */
  private int next(Chosen choice, int from, int chunk) {
    boolean now =
        choice.purpose() == Purpose.PREFETCH
            || Arrays.binarySearch(choice.chunks(), from, choice.chunks().length, chunk) >= 0;
    return requireNonNull(future).next(chunk, now ? choice.position() : choice.position() + 1);
  }

  private static float score(Chosen choice, int chunk) {
    return choice.scores()[Arrays.binarySearch(choice.known(), chunk)];
  }

  private int pass(int[] chunks, int from, int to, Missed missed) {
    boolean[] needed = new boolean[chunkOfPlace.length];
    int hits = 0;
    for (int i = from; i < to; i++) {
      int place = placeOfChunk[chunks[i]];
      if (place >= 0) {
        needed[place] = true;
        hits++;
      }
    }
    int misses = to - from - hits;
    if (misses == 0) {
      return hits;
    }
    long[] leaving = new long[chunkOfPlace.length];
    int candidates = 0;
    for (int place = 0; place < chunkOfPlace.length; place++) {
      if (!needed[place]) {
        long key =
            chunkOfPlace[place] < 0
                ? Long.MIN_VALUE
                : (long) ordered((float) keyOfPlace[place]) << 32;
        leaving[candidates++] = key | place;
      }
    }
    Arrays.sort(leaving, 0, candidates);
    int next = 0;
    for (int i = from; i < to; i++) {
      int chunk = chunks[i];
      if (placeOfChunk[chunk] >= 0) {
        continue;
      }
      int place = (int) leaving[next++];
      if (chunkOfPlace[place] >= 0) {
        placeOfChunk[chunkOfPlace[place]] = -1;
      }
      chunkOfPlace[place] = chunk;
      placeOfChunk[chunk] = place;
      missed.chunk(chunk);
    }
    return hits;
  }

  private void note(Chosen choice, int from, int to) {
    for (int i = from; i < to; i++) {
      int chunk = choice.chunks()[i];
      times[chunk]++;
      lastPosition[chunk] = choice.position();
      if (!choice.all()) {
        lastShare[chunk] = score(choice, chunk);
      }
    }
  }

  private static int ordered(float key) {
    int bits = Float.floatToRawIntBits(key);
    return Math.max(bits >= 0 ? bits : bits ^ Integer.MAX_VALUE, Integer.MIN_VALUE + 1);
  }
}
