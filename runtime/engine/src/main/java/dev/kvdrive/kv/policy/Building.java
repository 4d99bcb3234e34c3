package dev.kvdrive.kv.policy;

import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;

/**
 * A segment of a prompt whose chunks have closed, all of it in the scratch, and the verbs for it.
 *
 * @param index the verbs
 * @param queue where they are submitted
 * @param segment its chunks
 */
public record Building(IndexOperations index, Queue queue, PromptChunks segment) {
  /** Clusters the tokens by their keys, or the chunks by their means. */
  public void cluster() {
    index.cluster(queue, new IndexOperations.Cluster(segment));
  }
}
