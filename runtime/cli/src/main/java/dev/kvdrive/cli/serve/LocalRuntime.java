package dev.kvdrive.cli.serve;

import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.server.RuntimeApplication;
import dev.kvdrive.server.serving.Serving;
import dev.kvdrive.server.serving.StartFailure;
import dev.kvdrive.server.settings.FlagSource;
import dev.kvdrive.server.settings.SettingNames;
import java.net.URI;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ApplicationContextInitializer;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.support.GenericApplicationContext;

/**
 * A runtime in this process. It ends with {@link #close} or with the process, whichever is first;
 * either way its running requests get their drain timeout and its scratch folder is removed last.
 */
public final class LocalRuntime implements AutoCloseable {
  private final @Nullable ScratchFolder nvme;
  private final Thread atExit = new Thread(this::end, "kvdrive-exit");
  private final CountDownLatch ended = new CountDownLatch(1);
  private volatile @Nullable ConfigurableApplicationContext context;
  private volatile boolean ending;

  private LocalRuntime(@Nullable ScratchFolder nvme) {
    this.nvme = nvme;
  }

  /** How a runtime tells what it does. */
  public enum Log {
    /** Lines of text for a person. */
    LINES("%d{HH:mm:ss} %msg%n", "info"),
    /** Nothing but what went wrong. */
    ERRORS("kvdrive: %msg%n", "error");

    private final String pattern;
    private final String level;

    Log(String pattern, String level) {
      this.pattern = pattern;
      this.level = level;
    }
  }

  /**
   * Starts a runtime. Returns as soon as it answers health checks; the model loads behind it, see
   * {@link #serving}. If the model cannot be loaded, the runtime ends the process with status 1.
   *
   * @param settings by their names in the runtime's configuration; they win over the environment
   * @param flags what a setting is called on the command line, where it has an option
   * @param nvme where its NVMe tier is unless the settings say otherwise; closed with the runtime
   * @param device what it computes on; null for the runtime's own
   * @throws IllegalArgumentException if a setting is wrong, or the port is taken
   */
  public static LocalRuntime start(
      Map<String, String> settings,
      Map<String, String> flags,
      @Nullable ScratchFolder nvme,
      Log log,
      @Nullable DeviceFactory device) {
    LocalRuntime runtime = new LocalRuntime(nvme);
    Runtime.getRuntime().addShutdownHook(runtime.atExit);
    try {
      runtime.run(settings, flags, log, device);
    } catch (RuntimeException e) {
      ConfigurableApplicationContext begun = runtime.context;
      SettingNames names = new SettingNames(begun == null ? null : begun.getEnvironment());
      runtime.close();
      throw new IllegalArgumentException(names.in(StartFailure.reason(e)), e);
    }
    return runtime;
  }

  private void run(
      Map<String, String> settings,
      Map<String, String> flags,
      Log log,
      @Nullable DeviceFactory device) {
    Map<String, String> all = new LinkedHashMap<>();
    all.put("kvdrive.model.cache-dir", cacheFolder().toString());
    all.put("logging.structured.format.console", "${KVDRIVE_LOG_FORMAT:}");
    all.put("logging.pattern.console", log.pattern);
    all.put("logging.level.dev.kvdrive", log.level);
    // What goes wrong while it starts is told by this class, in one line.
    all.put("logging.level.org.springframework.boot", "off");
    if (nvme != null) {
      all.put("kvdrive.tiers.nvme-dir", nvme.path().toString());
    }
    all.putAll(settings);
    SpringApplication application = new SpringApplication(RuntimeApplication.class);
    application.setRegisterShutdownHook(false);
    application.setLogStartupInfo(false);
    ApplicationContextInitializer<GenericApplicationContext> parts =
        fresh -> {
          context = fresh;
          fresh.getEnvironment().getPropertySources().addFirst(new FlagSource(settings, flags));
          if (device != null) {
            fresh.registerBean(DeviceFactory.class, () -> device);
          }
        };
    application.addInitializers(parts);
    application.run(
        all.entrySet().stream()
            .map(setting -> "--%s=%s".formatted(setting.getKey(), setting.getValue()))
            .toArray(String[]::new));
  }

  /** Where models and scratch folders are kept. */
  public static Path cacheFolder() {
    return ModelSource.cacheFolder(System.getenv());
  }

  /** In which part of its life the runtime is. */
  public Serving serving() {
    return context().getBean(Serving.class);
  }

  /** Where it answers. */
  public URI address() {
    String host = context().getEnvironment().getRequiredProperty("server.address");
    String port = context().getEnvironment().getRequiredProperty("local.server.port");
    String scheme =
        context().getEnvironment().containsProperty("kvdrive.tls.certificate") ? "https" : "http";
    return URI.create(
        "%s://%s:%s".formatted(scheme, host.contains(":") ? "[" + host + "]" : host, port));
  }

  private ConfigurableApplicationContext context() {
    ConfigurableApplicationContext started = context;
    if (started == null) {
      throw new IllegalStateException("the runtime has not started");
    }
    return started;
  }

  /** Whether it is being ended, for instance because the process is. */
  public boolean ending() {
    return ending;
  }

  /** Blocks until it has ended. */
  public void awaitEnd() throws InterruptedException {
    ended.await();
  }

  /** Ends it and waits for that. Idempotent. */
  @Override
  public void close() {
    try {
      Runtime.getRuntime().removeShutdownHook(atExit);
    } catch (IllegalStateException e) {
      // The process ends; the hook does the work, and only once.
    }
    end();
  }

  private synchronized void end() {
    ending = true;
    ConfigurableApplicationContext started = context;
    if (started != null) {
      started.close();
    }
    if (nvme != null) {
      nvme.close();
    }
    ended.countDown();
  }
}
