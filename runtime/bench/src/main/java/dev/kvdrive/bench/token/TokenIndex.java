package dev.kvdrive.bench.token;

import java.util.List;

/** What a method keeps of the closed tokens of one (layer, KV head). Immutable. */
public interface TokenIndex {
  /**
   * What the queries of a group attend.
   *
   * @param queries {@code [group][headDim]}
   * @param budget tokens that may be attended exactly
   */
  Attended choose(float[][] queries, int budget);

  /**
   * What is attended of the closed tokens.
   *
   * @param tokens each exactly, counted from the first closed one
   * @param estimates many tokens at once
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Attended(int[] tokens, List<Estimate> estimates) {}

  /**
   * Tokens that are attended as if all had the same key and value.
   *
   * @param key of all
   * @param value mean of theirs
   * @param tokens how many
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Estimate(float[] key, float[] value, int tokens) {}
}
