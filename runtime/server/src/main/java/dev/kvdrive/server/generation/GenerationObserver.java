package dev.kvdrive.server.generation;

import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationUsage;

/** Told about the choices of one request on the engine's thread; must return quickly. */
public interface GenerationObserver {
  /** A token of a choice. */
  void token(int choice);

  /** The end of a choice, a cancelled one included. */
  void finished(int choice, Finish finish);

  /**
   * The end of a choice by an error.
   *
   * @param took until then
   */
  void failed(int choice, GenerationException error, GenerationUsage took);
}
