package dev.kvdrive.operator;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.core.spi.ContextAwareBase;

/** Logging of tests that start no operator, which brings its own: ArchUnit says nothing. */
public final class QuietLibraries extends ContextAwareBase implements Configurator {
  @Override
  public ExecutionStatus configure(LoggerContext logging) {
    logging.getLogger("com.tngtech.archunit").setLevel(Level.WARN);
    return ExecutionStatus.INVOKE_NEXT_IF_ANY;
  }
}
