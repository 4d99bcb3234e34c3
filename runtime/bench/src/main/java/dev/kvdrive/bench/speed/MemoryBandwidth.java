package dev.kvdrive.bench.speed;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * What the machine's memory gives a streaming reader: every thread reads a part of its own, far
 * larger than the caches, from front to back in four streams of vectors. The yardstick of decode,
 * which reads all weights once for a token.
 */
public final class MemoryBandwidth {
  private static final VectorSpecies<Long> LONGS = LongVector.SPECIES_PREFERRED;
  private static final int STREAMS = 4;

  private MemoryBandwidth() {}

  /**
   * Measures.
   *
   * @param threads readers at once
   * @param bytes read in one pass by all of them together
   * @param passes how often; the first is not counted
   * @return bytes per second of each counted pass
   */
  public static Spread measure(int threads, long bytes, int passes) throws InterruptedException {
    long block = (long) STREAMS * LONGS.vectorByteSize();
    long part = Math.max(block, bytes / threads / block * block);
    CyclicBarrier together = new CyclicBarrier(threads + 1);
    long[] sums = new long[threads];
    double[] rates = new double[passes - 1];
    try (Arena arena = Arena.ofShared();
        ExecutorService readers = Executors.newFixedThreadPool(threads)) {
      List<Future<?>> running = new ArrayList<>();
      for (int t = 0; t < threads; t++) {
        int index = t;
        running.add(
            readers.submit(
                () -> {
                  MemorySegment own = arena.allocate(part, 4096);
                  own.fill((byte) (index + 1));
                  for (int pass = 0; pass < passes; pass++) {
                    together.await();
                    sums[index] += read(own, part);
                    together.await();
                  }
                  return null;
                }));
      }
      for (int pass = 0; pass < passes; pass++) {
        together.await();
        long start = System.nanoTime();
        together.await();
        if (pass > 0) {
          rates[pass - 1] = 1e9 * threads * part / (System.nanoTime() - start);
        }
      }
      for (Future<?> reader : running) {
        reader.get();
      }
    } catch (java.util.concurrent.BrokenBarrierException | ExecutionException e) {
      throw new IllegalStateException("the memory bandwidth could not be measured: " + e, e);
    }
    for (long sum : sums) {
      if (sum == 0) {
        throw new IllegalStateException("memory read as zero");
      }
    }
    return Spread.of(rates);
  }

  private static long read(MemorySegment data, long bytes) {
    long step = LONGS.vectorByteSize();
    long stream = bytes / STREAMS;
    LongVector a = LongVector.zero(LONGS);
    LongVector b = a;
    LongVector c = a;
    LongVector d = a;
    for (long at = 0; at < stream; at += step) {
      a = a.add(LongVector.fromMemorySegment(LONGS, data, at, ByteOrder.nativeOrder()));
      b = b.add(LongVector.fromMemorySegment(LONGS, data, stream + at, ByteOrder.nativeOrder()));
      c =
          c.add(
              LongVector.fromMemorySegment(LONGS, data, 2 * stream + at, ByteOrder.nativeOrder()));
      d =
          d.add(
              LongVector.fromMemorySegment(LONGS, data, 3 * stream + at, ByteOrder.nativeOrder()));
    }
    return a.add(b).add(c.add(d)).reduceLanes(jdk.incubator.vector.VectorOperators.ADD);
  }
}
