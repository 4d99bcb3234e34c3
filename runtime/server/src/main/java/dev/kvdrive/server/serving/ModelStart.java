package dev.kvdrive.server.serving;

import java.util.function.Consumer;

/**
 * Gets a model ready to answer: finds its files, checks the machine, starts and warms its engine.
 */
public interface ModelStart {
  /**
   * Blocks until the model answers.
   *
   * @param progress is told each step, for a person
   * @throws Exception if it cannot be served; the message says why and what to do
   */
  ServedModel start(Consumer<String> progress) throws Exception;

  /**
   * Frees what {@link #start} made, the engine first; a start under way ends with an exception.
   * What an engine cannot let go of within seconds stays until the process ends. Idempotent,
   * callable from any thread at any moment.
   */
  void close();
}
