package dev.kvdrive.server.generation;

import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.GeneratedToken;

/** What happens to the choices of one request. */
public sealed interface GenerationEvent {
  /** Which choice. */
  int choice();

  /** A token was generated. */
  record Token(int choice, GeneratedToken token) implements GenerationEvent {}

  /** A choice ended with an answer. */
  record Finished(int choice, Finish finish) implements GenerationEvent {}
}
