package dev.kvdrive.text;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Builds the tables of a {@link BytePairModel} from what model files hold. */
final class Merges {

  private Merges() {}

  /**
   * Adds the merge of two pieces, all three of which must be in the vocabulary.
   *
   * @throws TokenizerException when one is not
   */
  static void add(PairTable merges, Map<String, Integer> ids, String left, String right, int rank) {
    Integer leftId = ids.get(left);
    Integer rightId = ids.get(right);
    Integer merged = ids.get(left + right);
    if (leftId == null || rightId == null || merged == null) {
      String missing = leftId == null ? left : rightId == null ? right : left + right;
      throw new TokenizerException(
          "merge "
              + rank
              + " joins '"
              + left
              + "' and '"
              + right
              + "', but '"
              + missing
              + "' is not in the vocabulary");
    }
    merges.put(leftId, rightId, rank, merged);
  }

  /** The id of each byte of a byte-level vocabulary, -1 where it has none. */
  static int[] byteSymbols(Map<String, Integer> ids) {
    int[] symbols = new int[256];
    for (int b = 0; b < 256; b++) {
      symbols[b] = ids.getOrDefault(String.valueOf(ByteAlphabet.charOf(b)), -1);
    }
    return symbols;
  }

  /** Registers a token as a whole word, if its bytes are text. */
  static void addWord(Map<String, Integer> words, byte[] bytes, int id) {
    try {
      words.put(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString(), id);
    } catch (CharacterCodingException e) {
      // Part of a code point: no word consists of it.
      return;
    }
  }

  /** The value of a byte token such as {@code <0x0A>}, or -1. */
  static int byteValue(String piece) {
    if (piece.length() != 6 || !piece.startsWith("<0x") || piece.charAt(5) != '>') {
      return -1;
    }
    int high = Character.digit(piece.charAt(3), 16);
    int low = Character.digit(piece.charAt(4), 16);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
  }

  /**
   * SentencePiece's byte-pair model: two neighbours merge when what they spell together is a piece,
   * the best score first. Stated as merges: every way to cut a piece in two, ranked by the piece's
   * score; equal scores share a rank, so that the leftmost goes first.
   *
   * @param pieces normal pieces by id, null for others
   */
  static BytePairModel byScore(
      @Nullable String[] pieces,
      Map<String, Integer> ids,
      float[] scores,
      int @Nullable [] byteIds,
      int unknown) {
    Map<Integer, Integer> characters = new HashMap<>();
    for (int id = 0; id < pieces.length; id++) {
      String piece = pieces[id];
      if (piece != null && isOneCharacter(piece)) {
        characters.put(piece.codePointAt(0), id);
      }
    }
    float[] ascending = scores.clone();
    Arrays.sort(ascending);
    PairTable merges = new PairTable();
    for (int id = 0; id < pieces.length; id++) {
      String piece = pieces[id];
      if (piece == null) {
        continue;
      }
      int rank = ascending.length - upperBound(ascending, scores[id]);
      for (int cut = 1; cut < piece.length(); cut++) {
        if (Character.isLowSurrogate(piece.charAt(cut))) {
          continue;
        }
        int left = symbol(piece.substring(0, cut), pieces, ids);
        int right = left == NO_SYMBOL ? left : symbol(piece.substring(cut), pieces, ids);
        if (right != NO_SYMBOL) {
          merges.put(left, right, rank, id);
        }
      }
      Limits.check("merges", merges.size(), Limits.MERGES);
    }
    return new BytePairModel(
        null,
        Map.copyOf(characters),
        merges,
        Map.of(),
        new BytePairModel.Fallback(byteIds, unknown, false));
  }

  private static final int NO_SYMBOL = Integer.MIN_VALUE;

  /** The symbol of a text: a normal piece, or one character that is none. */
  private static int symbol(String text, @Nullable String[] pieces, Map<String, Integer> ids) {
    Integer id = ids.get(text);
    if (id != null && pieces[id] != null) {
      return id;
    }
    return isOneCharacter(text) ? ~text.codePointAt(0) : NO_SYMBOL;
  }

  private static boolean isOneCharacter(String text) {
    return !text.isEmpty() && text.length() == Character.charCount(text.codePointAt(0));
  }

  /** How many of the ascending values are at most the given one. */
  private static int upperBound(float[] ascending, float value) {
    int low = 0;
    int high = ascending.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (ascending[middle] <= value) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
