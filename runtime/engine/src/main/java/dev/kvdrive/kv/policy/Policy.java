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

  /** Chooses the chunks of a layer that a step attends. */
  void choose(Choosing choosing);

  /**
   * Writes the keys of the chunks in the window, before those of a pass are looked up: the lowest
   * leave first.
   */
  void keep(Keeping keeping);

  /**
   * The policy of a shape.
   *
   * @throws IllegalArgumentException if there is none
   */
  static Policy of(PolicyShape shape) {
    if (shape.name().equals(PolicyShape.KVDRIVE.name()) && shape.selects()) {
      return new KvDrive(shape);
    }
    if (shape.equals(PolicyShape.FULL)) {
      return new Full();
    }
    throw new IllegalArgumentException("there is no policy '" + shape.name() + "'");
  }
}
