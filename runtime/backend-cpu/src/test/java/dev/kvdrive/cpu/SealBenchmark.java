package dev.kvdrive.cpu;

import dev.kvdrive.kv.extent.ExtentLabel;
import dev.kvdrive.kv.extent.ExtentSeal;
import dev.kvdrive.plan.NvmeEncryption;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.NullUnmarked;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * What an I/O thread does to an extent of 32 KiB before it is written and after it was read, in
 * each form: a checksum, or encryption. Run with {@code mvn -P kernels -pl runtime/backend-cpu -am
 * test -DskipTests -Dkernels.main=dev.kvdrive.cpu.SealBenchmark}.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 4, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 3, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class SealBenchmark {
  private static final int EXTENT_BYTES = 32 * 1024;

  /** Extents that are sealed in turn: more than the nearest caches hold. */
  private static final int EXTENTS = 256;

  /** Of one thread. */
  @State(Scope.Thread)
  @NullUnmarked
  public static class Extents {
    /** Form on NVMe. */
    @Param public NvmeEncryption form;

    private MemorySegment all;
    private MemorySegment sealed;
    private MemorySegment spare;
    private MemorySegment read;
    private byte[][] proofs;
    private byte[] proof;
    private ExtentSeal seal;
    private int next;

    /** Seals all of them. */
    @Setup(Level.Trial)
    public void seal() {
      Arena arena = Arena.ofAuto();
      all = arena.allocate((long) EXTENTS * EXTENT_BYTES, 4096);
      sealed = arena.allocate((long) EXTENTS * EXTENT_BYTES, 4096);
      spare = arena.allocate(EXTENT_BYTES, 4096);
      read = arena.allocate(EXTENT_BYTES, 4096);
      byte[] content = new byte[EXTENT_BYTES];
      Random random = new Random(1);
      proofs = new byte[EXTENTS][form.proofBytes()];
      proof = new byte[form.proofBytes()];
      seal = ExtentSeal.of(form, EXTENT_BYTES);
      for (int i = 0; i < EXTENTS; i++) {
        random.nextBytes(content);
        MemorySegment.copy(content, 0, extent(all, i), ValueLayout.JAVA_BYTE, 0, EXTENT_BYTES);
        extent(sealed, i).copyFrom(seal.seal(label(i), extent(all, i), spare, proofs[i]));
      }
    }

    private int next() {
      next = (next + 1) % EXTENTS;
      return next;
    }

    private static MemorySegment extent(MemorySegment of, int number) {
      return of.asSlice((long) number * EXTENT_BYTES, EXTENT_BYTES);
    }

    private static ExtentLabel label(int number) {
      return new ExtentLabel(77, 3, 1, number);
    }
  }

  /** Before a write. */
  @Benchmark
  public MemorySegment seal(Extents extents) {
    int i = extents.next();
    return extents.seal.seal(
        Extents.label(i), Extents.extent(extents.all, i), extents.spare, extents.proof);
  }

  /** What a read does to memory, which is part of the next. */
  @Benchmark
  public MemorySegment read(Extents extents) {
    return extents.read.copyFrom(Extents.extent(extents.sealed, extents.next()));
  }

  /** After a read. */
  @Benchmark
  public MemorySegment readAndOpen(Extents extents) throws IOException {
    int i = extents.next();
    extents.read.copyFrom(Extents.extent(extents.sealed, i));
    extents.seal.open(Extents.label(i), extents.read, extents.proofs[i]);
    return extents.read;
  }

  /** Measures. */
  public static void main(String[] args) throws RunnerException, CommandLineOptionException {
    new Runner(
            new OptionsBuilder()
                .parent(new CommandLineOptions(args))
                .include(SealBenchmark.class.getName())
                .build())
        .run();
  }
}
