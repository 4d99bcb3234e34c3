package dev.kvdrive.plan;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * An index as users write it: what chunks are chosen by and, behind a plus, the clusters that
 * estimate what is not attended: {@code two-bit}, {@code planes-96+clusters-64}, {@code
 * planes-96+clusters-16x4}.
 *
 * @param summary what is kept of a chunk
 * @param clusters null for no estimate
 */
public record IndexShape(SummaryFormat summary, @Nullable ClusterFormat clusters) {
  private static final Pattern CLUSTERS = Pattern.compile("clusters-([1-9][0-9]{0,3})(x4)?");

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
    Matcher clusters = CLUSTERS.matcher(estimate);
    if (!clusters.matches()) {
      throw new IllegalArgumentException(
          "there is no estimate '%s'; write clusters-32, clusters-64 or clusters-128 for as many tokens a cluster, or clusters-16x4 for 16 and 4 bits an element, for instance planes-96+clusters-64"
              .formatted(estimate));
    }
    ClusterFormat format = ClusterFormat.of(Integer.parseInt(clusters.group(1)));
    return new IndexShape(
        SummaryFormat.parse(word.substring(0, plus)),
        clusters.group(2) == null ? format : format.inNibbles());
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
