package dev.kvdrive.device;

/**
 * The verbs of a device, by what they work on. Each call submits work to a queue; none reads
 * anything back to the host, so that a whole decode step can be recorded as a {@link Graph}.
 *
 * <p>What a verb takes is a record that checks its shapes when it is made, and throws {@link
 * IllegalArgumentException} before anything is submitted; a verb's signature is written there and
 * nowhere else. A device refuses activations that are not of its {@link Device#activationType}.
 *
 * <p>Results are deterministic: the same inputs give the same bits whatever the number of threads,
 * the rows that happen to share a batch or a prefill block, and the split of a selection into hits,
 * misses and passes. The CPU backend guarantees that bit for bit; a backend that reorders sums says
 * so and stays within the error of reordering.
 *
 * @param tensor projections and pointwise work on rows of activations
 * @param kv where keys and values are written: ring, frames, a prompt's scratch
 * @param index what is kept of a chunk, scores, and the best by them
 * @param window which selected chunks are resident, which leave, how the others come
 * @param attention sink and ring, hits, misses; prompts
 */
public record Operations(
    TensorOperations tensor,
    KvOperations kv,
    IndexOperations index,
    WindowOperations window,
    AttentionOperations attention) {}
