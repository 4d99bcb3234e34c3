package dev.kvdrive.server;

import dev.kvdrive.server.serving.StartFailure;
import dev.kvdrive.server.serving.TerminationLog;
import dev.kvdrive.server.settings.SettingNames;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicReference;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.properties.ConfigurationPropertiesScan;
import org.springframework.context.ApplicationContextInitializer;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.env.ConfigurableEnvironment;

/** The runtime: an OpenAI-compatible server of one model. */
@SpringBootApplication
@ConfigurationPropertiesScan
public class RuntimeApplication {
  private static final String TERMINATION_LOG_PROPERTY = "kvdrive.termination-log";
  private static final String DEFAULT_TERMINATION_LOG = "/dev/termination-log";

  /** Runs until SIGTERM; exit code 1 with a reason if it cannot start. */
  public static void main(String[] args) {
    run(new SpringApplication(RuntimeApplication.class), args);
  }

  static void run(SpringApplication application, String[] args) {
    AtomicReference<ConfigurableEnvironment> environment = new AtomicReference<>();
    ApplicationContextInitializer<ConfigurableApplicationContext> note =
        fresh -> environment.set(fresh.getEnvironment());
    application.addInitializers(note);
    try {
      requireVectorModule();
      application.run(args);
    } catch (RuntimeException failure) {
      String reason = new SettingNames(environment.get()).in(StartFailure.reason(failure));
      System.err.println("kvdrive: the runtime cannot start: " + reason);
      Throwable unexpected = StartFailure.unexpected(failure);
      if (unexpected != null) {
        unexpected.printStackTrace();
      }
      new TerminationLog(
              Path.of(System.getProperty(TERMINATION_LOG_PROPERTY, DEFAULT_TERMINATION_LOG)))
          .write(reason);
      System.exit(1);
    }
  }

  private static void requireVectorModule() {
    if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
      throw new StartFailure(
          "this JVM runs without the Vector API; start it with"
              + " --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED");
    }
  }
}
