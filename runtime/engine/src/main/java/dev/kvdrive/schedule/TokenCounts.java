package dev.kvdrive.schedule;

import java.util.Arrays;

/**
 * The distinct tokens of one sequence and how often each was generated, for penalties. Open
 * addressing; grows with the distinct tokens, which the context length bounds.
 */
final class TokenCounts {
  private static final int FREE = -1;

  private int[] tokens = new int[64];
  private int[] generated = new int[64];
  private int size;

  TokenCounts() {
    Arrays.fill(tokens, FREE);
  }

  /** Notes a token of the prompt. */
  void seen(int token) {
    slot(token);
  }

  /** Notes a generated token. */
  void generated(int token) {
    int slot = slot(token); // may replace the array
    generated[slot]++;
  }

  /** Slots to go through; those with {@link #token} below 0 are free. */
  int slots() {
    return tokens.length;
  }

  int token(int slot) {
    return tokens[slot];
  }

  /** How often the slot's token was generated; 0 if it is only in the prompt. */
  int count(int slot) {
    return generated[slot];
  }

  private int slot(int token) {
    int slot = find(token);
    if (tokens[slot] == FREE) {
      if (2 * ++size > tokens.length) {
        grow();
        slot = find(token);
      }
      tokens[slot] = token;
    }
    return slot;
  }

  private int find(int token) {
    int mask = tokens.length - 1;
    int slot = ((token * 0x9E3779B9) >>> 7) & mask;
    while (tokens[slot] != FREE && tokens[slot] != token) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  private void grow() {
    int[] oldTokens = tokens;
    int[] oldGenerated = generated;
    tokens = new int[2 * oldTokens.length];
    generated = new int[tokens.length];
    Arrays.fill(tokens, FREE);
    for (int i = 0; i < oldTokens.length; i++) {
      if (oldTokens[i] != FREE) {
        int slot = find(oldTokens[i]);
        tokens[slot] = oldTokens[i];
        generated[slot] = oldGenerated[i];
      }
    }
  }
}
