package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.matrix.MatrixRun;
import dev.kvdrive.bench.speed.EngineProbeMain;
import dev.kvdrive.bench.speed.ForkedProbe;
import dev.kvdrive.bench.speed.PacedProbe;
import dev.kvdrive.bench.speed.ProbeSettings;
import dev.kvdrive.bench.speed.SpeedRun;
import dev.kvdrive.bench.speed.Stretch;
import dev.kvdrive.cli.serve.LocalRuntime;
import dev.kvdrive.cli.serve.ScratchFolder;
import dev.kvdrive.cli.terminal.Terminal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Starts every configuration in a JVM of its own, with a folder of its own on the drive, and ends
 * all that still run when the time is over.
 */
final class ProbeMachine implements MatrixRun.Machine, AutoCloseable {
  private final int startsAtOnce;
  private final Terminal terminal;
  private final Supplier<Path> nvme;
  private final Path log;
  private final ScheduledExecutorService alarm = Executors.newSingleThreadScheduledExecutor();
  private final List<ForkedProbe> running = new ArrayList<>();
  private String description = "";
  private boolean over;

  ProbeMachine(int startsAtOnce, Duration within, Terminal terminal, Supplier<Path> nvme)
      throws IOException {
    this.startsAtOnce = startsAtOnce;
    this.terminal = terminal;
    this.nvme = nvme;
    Files.createDirectories(LocalRuntime.cacheFolder());
    log = LocalRuntime.cacheFolder().resolve("bench.log");
    Files.deleteIfExists(log);
    var _ = alarm.schedule(this::end, within.toMillis(), TimeUnit.MILLISECONDS);
  }

  private synchronized void end() {
    over = true;
    running.forEach(ForkedProbe::kill);
  }

  /** What the engines compute on; empty as long as none has started. */
  synchronized String description() {
    return description;
  }

  @Override
  public PacedProbe start(ProbeSettings settings) {
    ScratchFolder drive =
        settings.tiers().dramShare() < 1 ? ScratchFolder.below(nvme.get(), "bench-") : null;
    try {
      ForkedProbe probe =
          ForkedProbe.start(
              System.getProperty("java.class.path"),
              BenchRun.HEAP_BYTES,
              EngineProbeMain.class.getName(),
              log,
              List.of(
                  (drive == null ? settings : settings.with(settings.tiers().on(drive.path())))
                      .argument()));
      synchronized (this) {
        description = probe.description();
        running.add(probe);
        if (over) {
          probe.kill();
        }
      }
      return new OnDrive(probe, () -> close(probe, drive));
    } catch (RuntimeException e) {
      if (drive != null) {
        drive.close();
      }
      throw e;
    }
  }

  private void close(ForkedProbe probe, @Nullable ScratchFolder drive) {
    synchronized (this) {
      running.remove(probe);
    }
    probe.close();
    if (drive != null) {
      drive.close();
    }
  }

  /** A probe that is closed with its folder. */
  private record OnDrive(PacedProbe probe, Runnable closing) implements PacedProbe {
    @Override
    public String description() {
      return probe.description();
    }

    @Override
    public SpeedRun run() throws InterruptedException {
      return probe.run();
    }

    @Override
    public void settle(int tokens) {
      probe.settle(tokens);
    }

    @Override
    public long prompt() {
      return probe.prompt();
    }

    @Override
    public Stretch go(int tokens) {
      return probe.go(tokens);
    }

    @Override
    public void close() {
      closing.run();
    }
  }

  @Override
  public int startsAtOnce() {
    return startsAtOnce;
  }

  @Override
  public LongSupplier clock() {
    return System::nanoTime;
  }

  @Override
  public void tell(String line) {
    terminal.line(line);
  }

  @Override
  public void close() {
    alarm.shutdownNow();
  }
}
