package dev.kvdrive.kv.tier;

/**
 * What a prompt finds of its keys and values: the extents of its beginning, which a sequence with
 * the same beginning has, or had.
 *
 * @param holder whose they are
 * @param extents of every (layer, KV head), from the first
 * @param tokens of the prompt up to the end of these extents, sink included; 0 for nothing
 * @param seated extents of all layers and KV heads, of these, that are of sequences in seats, so
 *     that one more of them takes no room
 */
public record Reuse(int holder, int extents, int tokens, long seated) {
  /** Nothing. */
  public static final Reuse NONE = new Reuse(-1, 0, 0, 0);
}
