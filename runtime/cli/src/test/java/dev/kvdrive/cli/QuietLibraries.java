package dev.kvdrive.cli;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.core.spi.ContextAwareBase;
import org.slf4j.Logger;

/**
 * Logging of tests that start no runtime, which brings its own: libraries say nothing. Without it
 * the logging library would print all that they have to say.
 */
public final class QuietLibraries extends ContextAwareBase implements Configurator {
  @Override
  public ExecutionStatus configure(LoggerContext logging) {
    logging.getLogger(Logger.ROOT_LOGGER_NAME).setLevel(Level.OFF);
    return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
  }
}
