package dev.kvdrive.kv.policy;

import dev.kvdrive.plan.PolicyShape;

/**
 * A method of sparse attention, as a program of device verbs. Its methods run on the engine's
 * thread when a step or a quantum of prefill is submitted, or recorded as a graph; all they do is
 * submit verbs, so that the graph holds kernels only. A policy has no state: the same verbs are
 * submitted for every step of a shape, and what differs between steps lies in device memory.
 *
 * <p>It decides what is attended and what is resident, never what a chunk contains: for the chunks
 * that it chooses, the tokens do not depend on tiers, windows, threads or the batch.
 */
public interface Policy {
  /** What the plan has to know of it. */
  PolicyShape shape();

  /** Writes what the index keeps of chunks that have just closed. */
  void close(Closing closing);

  /** Writes what is kept of a segment of a prompt whose chunks have closed; nothing by default. */
  default void build(Building building) {}

  /**
   * Chooses the chunks of a layer that a step attends. In a dense layer of its shape all rows ask
   * for everything.
   */
  void choose(Choosing choosing);

  /** Estimates what a step does not attend; nothing by default. */
  default void rest(Resting resting) {}

  /**
   * Writes the keys of the chunks in the window, before those of a pass are looked up: the lowest
   * leave first.
   */
  void keep(Keeping keeping);

  /** Notes what a pass uses, after it has been looked up and before the next one is. */
  default void used(Keeping keeping) {}

  /**
   * Whether windows may be filled by what this policy chooses for a token at the end of a prompt:
   * where that is part of the method.
   */
  default boolean warmsUp() {
    return false;
  }

  /** Whether windows may be filled by what it chooses for a predicted query. */
  default boolean prefetches() {
    return false;
  }

  /**
   * The policy of a shape.
   *
   * @throws IllegalArgumentException if there is none
   */
  static Policy of(PolicyShape shape) {
    return switch (shape.name()) {
      case "kvdrive" -> new KvDrive(shape, false);
      case "kvdrive-recent" -> new KvDrive(shape, true);
      case "kvdrive-paper", "kvdrive-paper-flat" -> new KvDrivePaper(shape);
      case "quest" -> new Quest(shape);
      case "shadowkv" -> new ShadowKv(shape);
      case "retroinfer" -> new RetroInfer(shape);
      case "full" -> new Full(shape);
      case "full-offload" -> new FullOffload(shape);
      default -> throw new IllegalArgumentException("there is no policy '" + shape.name() + "'");
    };
  }
}
