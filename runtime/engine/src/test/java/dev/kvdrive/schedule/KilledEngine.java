package dev.kvdrive.schedule;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.model.Golden;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.NvmeEncryption;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A process with an engine that comes to stand in the middle of something, so that it can be killed
 * there; with {@link Moment#NONE} it answers its requests and ends. Says on its output each token,
 * {@code ready}, {@code stands} and {@code ended}.
 *
 * <p>Arguments: kind of device, folder of the NVMe tier, moment, which access of its kind, bytes
 * that may be written a day, 0 for no limit, which day it is, and in which form extents are on
 * NVMe.
 */
final class KilledEngine {
  /** Where the process stands. */
  enum Moment {
    /** A file of extents has just been made; the engine is not ready. */
    CREATE,
    /** Nothing of an extent is written yet. */
    BEFORE_WRITE,
    /** A half of an extent is written. */
    IN_WRITE,
    /** An extent is written, and nobody knows yet. */
    AFTER_WRITE,
    /** An extent is being read. */
    READ,
    /** The engine ends, and a file is about to be closed. */
    CLOSE,
    /** Never. */
    NONE
  }

  static final String READY = "ready";
  static final String STANDS = "stands";
  static final String ENDED = "ended";

  /** A request is refused, since too little of the day is left. */
  static final String SPENT = "spent";

  /** Before the bytes that the tier counts when it is ready. */
  static final String COUNTED = "counted ";

  /** Before the bytes of a write that has ended. */
  static final String WROTE = "wrote ";

  /** Separates the number of a request from a token of it. */
  static final String TOKEN = " says ";

  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  private KilledEngine() {}

  static EngineShape shape() {
    return EngineShape.tight(1).withSeats(3).withThreads(3);
  }

  static List<GenerationRequest> requests() {
    return List.of(
        EngineTest.request("first", EngineTest.prompt(1, 180), EngineTest.random(1), 24),
        EngineTest.request("second", EngineTest.prompt(2, 150), EngineTest.random(2), 24),
        EngineTest.request("short", EngineTest.prompt(3, 40), EngineTest.random(3), 24));
  }

  /** A token in one line, with every bit of its probability. */
  static String line(int request, GeneratedToken token) {
    return request + TOKEN + token.id() + " " + Float.floatToRawIntBits(token.logprob());
  }

  public static void main(String[] args) throws Exception {
    DeviceKind kind = DeviceKind.valueOf(args[0]);
    Moment moment = Moment.valueOf(args[2]);
    Stand stand = new Stand(moment, Integer.parseInt(args[3]));
    try (Model model = ModelLoader.open(Golden.file("llama3"), 0, ModelLoader.Verification.FULL);
        Device device = DeviceFactory.require(kind).open(EngineTest.CAPACITY, Long.MAX_VALUE, 2)) {
      EngineSettings settings =
          shape()
              .withEncryption(NvmeEncryption.parse(args[6]))
              .settings(model.geometry(), device, Path.of(args[1]))
              .withNvme(
                  nvme ->
                      nvme.withFiles(stand)
                          .withWritesPerDay(
                              Long.parseLong(args[4]), day(Integer.parseInt(args[5]))));
      try (KvDriveEngine engine =
          KvDriveEngine.start(model, new LetterTokenizer(), device, settings)) {
        OUT.println(COUNTED + engine.status().nvmeWritten().lastDay());
        OUT.println(READY);
        boolean goesOn = true;
        while (goesOn) {
          goesOn = answer(engine) && moment != Moment.NONE && moment != Moment.CLOSE;
        }
      }
    }
    OUT.println(ENDED);
  }

  private static InstantSource day(int number) {
    return InstantSource.offset(InstantSource.system(), Duration.ofHours(25L * number));
  }

  /** Returns whether no request was refused. */
  private static boolean answer(KvDriveEngine engine) {
    List<Recorder> recorders = new ArrayList<>();
    for (GenerationRequest request : requests()) {
      int number = recorders.size();
      Recorder recorder = new Recorder().onToken(token -> OUT.println(line(number, token)));
      recorders.add(recorder);
      try {
        engine.submit(request, recorder);
      } catch (EngineBusyException busy) {
        recorder.refused(busy);
      }
    }
    boolean all = true;
    for (Recorder recorder : recorders) {
      if (recorder.await().error() instanceof EngineBusyException) {
        all = false;
      } else {
        recorder.finish();
      }
    }
    if (!all) {
      OUT.println(SPENT);
    }
    return all;
  }

  /** Files of a filesystem, with an access that never ends. */
  private static final class Stand implements ExtentFile.Opener {
    private final Moment moment;
    private final AtomicInteger left;

    Stand(Moment moment, int access) {
      this.moment = moment;
      this.left = new AtomicInteger(access);
    }

    private boolean here(Moment reached) {
      return reached == moment && left.decrementAndGet() == 0;
    }

    private static void stand() throws IOException {
      OUT.println(STANDS);
      try {
        new CountDownLatch(1).await();
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
    }

    @Override
    public ExtentFile create(Path path, long bytes, boolean direct) throws IOException {
      ExtentFile file = ExtentFile.Opener.FILES.create(path, bytes, direct);
      if (here(Moment.CREATE)) {
        stand();
      }
      return new ExtentFile() {
        @Override
        public int read(ByteBuffer target, long offset) throws IOException {
          if (here(Moment.READ)) {
            stand();
          }
          return file.read(target, offset);
        }

        @Override
        public int write(ByteBuffer source, long offset) throws IOException {
          if (here(Moment.BEFORE_WRITE)) {
            stand();
          }
          if (here(Moment.IN_WRITE)) {
            file.write(half(source), offset);
            stand();
          }
          int written = file.write(source, offset);
          OUT.println(WROTE + written);
          if (here(Moment.AFTER_WRITE)) {
            stand();
          }
          return written;
        }

        @Override
        public void close() throws IOException {
          if (here(Moment.CLOSE)) {
            stand();
          }
          file.close();
        }
      };
    }

    /** Whole blocks, at least none. */
    private static ByteBuffer half(ByteBuffer source) {
      int block = 4096;
      ByteBuffer part = source.duplicate();
      part.limit(part.position() + source.remaining() / 2 / block * block);
      return part;
    }
  }
}
