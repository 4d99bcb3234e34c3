package dev.kvdrive.plan;

import org.jspecify.annotations.Nullable;

/**
 * An index as users write it: what chunks are chosen by and, behind a plus, the clusters that
 * estimate what is not attended: {@code two-bit}, {@code planes-96+clusters-64}.
 *
 * @param summary what is kept of a chunk
 * @param clusters null for no estimate
 */
public record IndexShape(SummaryFormat summary, @Nullable ClusterFormat clusters) {
  private static final String CLUSTERS = "clusters-";

  /**
   * The index that a user has written.
   *
   * @throws IllegalArgumentException if there is none, with what there is
   */
  public static IndexShape parse(String word) {
    int plus = word.indexOf('+');
    if (plus < 0) {
      return new IndexShape(SummaryFormat.parse(word), null);
    }
    String estimate = word.substring(plus + 1);
    if (!estimate.matches(CLUSTERS + "[1-9][0-9]{0,3}")) {
      throw new IllegalArgumentException(
          "there is no estimate '%s'; write clusters-32, clusters-64 or clusters-128 for as many tokens a cluster, for instance planes-96+clusters-64"
              .formatted(estimate));
    }
    return new IndexShape(
        SummaryFormat.parse(word.substring(0, plus)),
        ClusterFormat.of(Integer.parseInt(estimate.substring(CLUSTERS.length()))));
  }

  /** What {@link #parse} reads; of policies with an index of their own, what they keep. */
  public String word() {
    if (clusters == null) {
      return summary.word();
    }
    return summary.equals(SummaryFormat.none())
        ? clusters.word()
        : summary.word() + "+" + clusters.word();
  }

  /** Bytes that it has of a closed token of one (layer, KV head), of long sequences. */
  public double bytesOfToken(KvLayout layout) {
    double summary =
        (double) summary().bytes(layout) / (summary().chunks() * layout.grid().chunk());
    return clusters == null ? summary : summary + clusters.bytesOfToken(layout);
  }
}
