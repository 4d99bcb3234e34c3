package dev.kvdrive.schedule;

/** Why a generation ended. */
public enum FinishReason {
  /** A stop token or stop string. */
  STOP,
  /** {@code maxTokens} or the context length. */
  LENGTH,
  /** {@link Generation#cancel} or the engine closed. */
  CANCELLED
}
