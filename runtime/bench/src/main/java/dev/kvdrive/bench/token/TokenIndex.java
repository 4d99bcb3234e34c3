package dev.kvdrive.bench.token;

import java.util.Collections;
import java.util.List;

/** What a method keeps of the closed tokens of one (layer, KV head). Immutable. */
public interface TokenIndex {
  /**
   * What the queries of a group attend, one after the other.
   *
   * @param queries {@code [group][headDim]}
   * @param budget tokens that each may attend exactly
   */
  List<Attended> choose(float[][] queries, int budget);

  /** All queries attend the same. */
  static List<Attended> same(float[][] queries, Attended attended) {
    return Collections.nCopies(queries.length, attended);
  }

  /**
   * What is attended of the closed tokens.
   *
   * @param tokens each exactly, counted from the first closed one
   * @param corrections what is added to the logit of each
   * @param estimates many tokens at once
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Attended(int[] tokens, double[] corrections, List<Estimate> estimates) {
    Attended(int[] tokens, List<Estimate> estimates) {
      this(tokens, new double[tokens.length], estimates);
    }
  }

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
