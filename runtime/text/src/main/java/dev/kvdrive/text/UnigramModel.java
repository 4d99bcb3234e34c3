package dev.kvdrive.text;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * SentencePiece's unigram model: the segmentation with the highest sum of scores (Viterbi). A
 * character that no piece covers costs ten below the lowest score; neighbouring ones are one
 * unknown, or bytes where the vocabulary has them.
 */
final class UnigramModel implements WordModel {

  private static final double UNKNOWN_PENALTY = 10;

  /** Pieces as a trie: children of a node by code unit; the id at its end. */
  private static final class Node {
    final Map<Character, Node> children = new HashMap<>(2);
    int id = -1;
  }

  private final Node root = new Node();
  private final double[] scores;
  private final double unknownScore;
  private final int unknown;
  private final int @Nullable [] byteIds;

  /**
   * @param pieces normal pieces by id; null for an id that no text becomes
   * @param scores log-probability by id
   */
  UnigramModel(@Nullable String[] pieces, double[] scores, int unknown, int @Nullable [] byteIds) {
    this.scores = scores;
    this.unknown = unknown;
    this.byteIds = byteIds;
    double lowest = Double.POSITIVE_INFINITY;
    for (int id = 0; id < pieces.length; id++) {
      lowest = Math.min(lowest, scores[id]);
      String piece = pieces[id];
      if (piece == null || piece.isEmpty()) {
        continue;
      }
      Node node = root;
      for (int i = 0; i < piece.length(); i++) {
        node = node.children.computeIfAbsent(piece.charAt(i), c -> new Node());
      }
      node.id = id;
    }
    unknownScore = (lowest == Double.POSITIVE_INFINITY ? 0 : lowest) - UNKNOWN_PENALTY;
  }

  @Override
  public void encode(String text, int from, int to, EncodingWork work, Ids out) {
    CharSequence counted = work.counted(text);
    int n = to - from;
    double[] best = new double[n + 1];
    int[] start = new int[n + 1];
    int[] piece = new int[n + 1];
    Arrays.fill(start, -1);
    start[0] = 0;
    for (int at = 0; at < n; ) {
      int width = Character.charCount(Utf8.codePoint(text, from + at, to));
      boolean single = false;
      Node node = root;
      for (int end = at; end < n; ) {
        Node child = node.children.get(counted.charAt(from + end));
        if (child == null) {
          break;
        }
        node = child;
        end++;
        if (node.id >= 0) {
          double score = best[at] + scores[node.id];
          if (start[end] < 0 || score > best[end]) {
            best[end] = score;
            start[end] = at;
            piece[end] = node.id;
          }
          single |= end - at == width;
        }
      }
      if (!single) {
        double score = best[at] + unknownScore;
        if (start[at + width] < 0 || score > best[at + width]) {
          best[at + width] = score;
          start[at + width] = at;
          piece[at + width] = -1;
        }
      }
      at += width;
    }
    int[] ends = new int[n];
    int count = 0;
    for (int end = n; end > 0; end = start[end]) {
      ends[count++] = end;
    }
    boolean afterUnknown = false;
    for (int i = count - 1; i >= 0; i--) {
      int end = ends[i];
      if (piece[end] >= 0) {
        out.add(piece[end]);
        afterUnknown = false;
      } else {
        afterUnknown = writeUnknown(text, from + start[end], from + end, afterUnknown, out);
      }
    }
  }

  private boolean writeUnknown(String text, int from, int to, boolean afterUnknown, Ids out) {
    if (byteIds != null) {
      for (byte b : Utf8.of(text, from, to)) {
        out.add(byteIds[b & 0xff]);
      }
      return false;
    }
    if (!afterUnknown && unknown >= 0) {
      out.add(unknown);
    }
    return true;
  }
}
