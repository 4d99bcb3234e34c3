package dev.kvdrive.server.serving;

import dev.kvdrive.model.file.Printable;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.SmartLifecycle;

/**
 * Starts the model behind a server that already answers health checks, and ends it gracefully:
 * first leave is taken of who is connected, then nothing new is taken, then the running requests
 * finish or their time is up, and only then does the server close its connections.
 */
public final class RuntimeLifecycle implements SmartLifecycle {
  private static final Logger log = LoggerFactory.getLogger(RuntimeLifecycle.class);

  private final RuntimeSettings settings;
  private final Serving serving;
  private final ModelStart modelStart;
  private final TerminationLog terminationLog;
  private final SettingNames names;
  private final Farewell farewell;
  private final ProcessEnd processEnd;
  private @Nullable Thread starter;
  private volatile boolean running;

  /** Takes leave of the clients. */
  public interface Farewell {
    /** Answers who is connected once more, and returns when that is done or the time is up. */
    void take(Duration limit) throws InterruptedException;
  }

  /** Ends the process. */
  public interface ProcessEnd {
    /** Does not return when it is the real one. */
    void exit(int code);
  }

  public RuntimeLifecycle(
      RuntimeSettings settings,
      Serving serving,
      ModelStart modelStart,
      TerminationLog terminationLog,
      SettingNames names,
      Farewell farewell,
      ProcessEnd processEnd) {
    this.settings = settings;
    this.serving = serving;
    this.modelStart = modelStart;
    this.terminationLog = terminationLog;
    this.names = names;
    this.farewell = farewell;
    this.processEnd = processEnd;
  }

  @Override
  public void start() {
    running = true;
    Thread thread = Thread.ofPlatform().name("kvdrive-start").daemon(false).unstarted(this::load);
    starter = thread;
    thread.start();
  }

  private void load() {
    try {
      ServedModel model = modelStart.start(this::progress);
      if (serving.ready(model)) {
        log.info(
            "Ready: serving {} with a context of {} tokens for {} sequences on {}{}",
            model.name(),
            model.engine().sizes().contextLength(),
            model.engine().sizes().concurrency(),
            model.engine().status().device(),
            encryption(model.engine().sizes().nvmeEncryption()));
      } else {
        modelStart.close();
      }
    } catch (Throwable failure) {
      modelStart.close();
      if (!running) {
        log.info("The start was given up because the runtime is shutting down");
        return;
      }
      String reason = names.in(StartFailure.reason(failure));
      serving.failed(reason);
      log.error("The runtime cannot start: {}", reason, StartFailure.unexpected(failure));
      terminationLog.write(reason);
      processEnd.exit(1);
    }
  }

  private static String encryption(NvmeEncryption form) {
    return form.encrypts()
        ? "; what is on NVMe is encrypted with %s, by keys that are in memory alone"
            .formatted(form.word())
        : "";
  }

  private void progress(String step) {
    // A model's name, for one, is as its file has it.
    String shown = Printable.of(step);
    serving.starting(shown);
    log.info("{}", shown);
  }

  @Override
  public void stop() {
    running = false;
    Serving.State health = serving.health();
    long end = System.nanoTime() + settings.drainTimeout().toNanos();
    if (health instanceof Serving.State.Ready || health instanceof Serving.State.Degraded) {
      takeLeave();
    }
    Optional<ServedModel> model = serving.drain();
    if (model.isPresent() && health instanceof Serving.State.Failed failed) {
      // Whoever ends a runtime because it is not alive shall find why.
      log.error("The runtime ends because its engine has failed: {}", failed.detail());
      terminationLog.write(failed.detail());
    }
    Thread thread = starter;
    if (model.isEmpty() && thread != null) {
      thread.interrupt();
    }
    Duration left = Duration.ofNanos(Math.max(0, end - System.nanoTime()));
    model.ifPresent(served -> drain(served, left));
    modelStart.close();
  }

  private void takeLeave() {
    serving.leave();
    log.info("Shutting down: who is connected is answered once more");
    try {
      farewell.take(settings.drainTimeout());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void drain(ServedModel model, Duration left) {
    log.info(
        "Draining: {} running, {} waiting, up to {} s",
        model.engine().status().running(),
        model.engine().status().waiting(),
        left.toSeconds());
    try {
      if (!model.engine().drain(left)) {
        log.warn(
            "{} requests did not finish within {} s and are cancelled",
            model.engine().status().running() + model.engine().status().waiting(),
            settings.drainTimeout().toSeconds());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public boolean isRunning() {
    return running;
  }
}
