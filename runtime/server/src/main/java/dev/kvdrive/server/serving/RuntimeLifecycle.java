package dev.kvdrive.server.serving;

import dev.kvdrive.model.file.Printable;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.SmartLifecycle;

/**
 * Starts the model behind a server that already answers health checks, and ends it gracefully:
 * first nothing new is taken, then the running requests finish or their time is up, and only then
 * does the server close its connections.
 */
public final class RuntimeLifecycle implements SmartLifecycle {
  private static final Logger log = LoggerFactory.getLogger(RuntimeLifecycle.class);

  private final RuntimeSettings settings;
  private final Serving serving;
  private final ModelStart modelStart;
  private final TerminationLog terminationLog;
  private final SettingNames names;
  private final ProcessEnd processEnd;
  private @Nullable Thread starter;
  private volatile boolean running;

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
      ProcessEnd processEnd) {
    this.settings = settings;
    this.serving = serving;
    this.modelStart = modelStart;
    this.terminationLog = terminationLog;
    this.names = names;
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
    model.ifPresent(this::drain);
    modelStart.close();
  }

  private void drain(ServedModel model) {
    log.info(
        "Draining: {} running, {} waiting, up to {} s",
        model.engine().status().running(),
        model.engine().status().waiting(),
        settings.drainTimeout().toSeconds());
    try {
      if (!model.engine().drain(settings.drainTimeout())) {
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
