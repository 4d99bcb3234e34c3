package dev.kvdrive.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Products of a query with keys that are strings of bits, by table look-ups: four bits of a key
 * have sixteen sums, which are one vector register where vectors have sixteen lanes, and two where
 * they have eight. The lanes are chunks, so that what follows, sums over the tokens of a chunk, is
 * element by element. Kernels: see {@link Lanes}.
 */
final class NibbleKernels {
  /** Chunks at once. */
  static final int BLOCK = TokenKernels.BLOCK;

  /** Bits looked up at once. */
  static final int NIBBLE = 4;

  /** Entries of a table. */
  static final int ENTRIES = 1 << NIBBLE;

  private static final int NIBBLES_OF_WORD = Integer.SIZE / NIBBLE;

  /** From a row of a block of words to the next. */
  private static final long ROW = 4L * BLOCK;

  private NibbleKernels() {}

  /** Floats of the tables of one query, for so many words of bits. */
  static int tableFloats(int words) {
    return words * NIBBLES_OF_WORD * ENTRIES;
  }

  /**
   * Where the words of a summary are.
   *
   * @param tokens of a chunk
   * @param words of a token
   * @param ofToken words from those of one token to those of the next
   * @param ofWord words from one of a token to its next
   */
  record Order(int tokens, int words, int ofToken, int ofWord) {
    /** The words of a token follow each other. */
    static Order byToken(int tokens, int words) {
      return new Order(tokens, words, words, 1);
    }

    /** The first words of all tokens follow each other. */
    static Order byWord(int tokens, int words) {
      return new Order(tokens, words, 1, tokens);
    }

    /** Words of a summary. */
    int all() {
      return tokens * words;
    }
  }

  /**
   * Products of the keys of a block of chunks with a query.
   *
   * @param tables address of {@link #tableFloats} floats: what each nibble of the words of a token
   *     adds, the lowest first
   * @param codes address of {@code int[all][BLOCK]}: the words of summaries, as {@link Transposed}
   *     writes them
   * @param out address of {@code float[tokens][BLOCK]}
   */
  static void products(Order order, long tables, long codes, long out) {
    int token = 0;
    switch (Lanes.N) {
      case ENTRIES -> {
        for (; token + 2 <= order.tokens; token += 2) {
          twoTokens(order, tables, codes, token, out);
        }
        if (token < order.tokens) {
          scalar(order, tables, codes, token, out);
        }
      }
      case ENTRIES / 2 -> {
        for (; token < order.tokens; token++) {
          halves(order, tables, codes, token, out);
        }
      }
      default -> {
        for (; token < order.tokens; token++) {
          scalar(order, tables, codes, token, out);
        }
      }
    }
  }

  /**
   * {@link #products(Order, long, long, long)} of the queries of a group, with the same bits: two
   * at a time, which take every nibble once.
   *
   * @param tables address of those of the first query; those of the others follow
   * @param out address of {@code float[queries][tokens][BLOCK]}
   */
  static void products(Order order, long tables, int queries, long codes, long out) {
    long next = 4L * tableFloats(order.words);
    long row = ROW * order.tokens;
    int g = 0;
    for (; g + 2 <= queries && Lanes.N == ENTRIES; g += 2) {
      for (int token = 0; token < order.tokens; token++) {
        twoQueries(order, tables + g * next, next, codes, token, out + g * row, row);
      }
    }
    for (; g < queries; g++) {
      products(order, tables + g * next, codes, out + g * row);
    }
  }

  /** Four sums at a time, which is as many as look-ups are on their way. */
  private static void twoTokens(Order order, long tables, long codes, int token, long out) {
    FloatVector a = FloatVector.zero(Lanes.F);
    FloatVector b = a;
    FloatVector c = a;
    FloatVector d = a;
    long table = tables;
    for (int word = 0; word < order.words; word++) {
      final long at = codes + ROW * ((long) token * order.ofToken + (long) word * order.ofWord);
      final long more = at + ROW * order.ofToken;
      IntVector p = Lanes.loadInts(at);
      IntVector q = Lanes.loadInts(at + 4L * ENTRIES);
      IntVector r = Lanes.loadInts(more);
      IntVector s = Lanes.loadInts(more + 4L * ENTRIES);
      for (int nibble = 0; nibble < NIBBLES_OF_WORD; nibble++) {
        IntVector sums = Lanes.loadInts(table);
        a = Lanes.lookUp(a, p, sums);
        b = Lanes.lookUp(b, q, sums);
        c = Lanes.lookUp(c, r, sums);
        d = Lanes.lookUp(d, s, sums);
        p = p.lanewise(VectorOperators.LSHR, NIBBLE);
        q = q.lanewise(VectorOperators.LSHR, NIBBLE);
        r = r.lanewise(VectorOperators.LSHR, NIBBLE);
        s = s.lanewise(VectorOperators.LSHR, NIBBLE);
        table += 4L * ENTRIES;
      }
    }
    long to = out + ROW * token;
    Lanes.store(a, to);
    Lanes.store(b, to + 4L * ENTRIES);
    Lanes.store(c, to + ROW);
    Lanes.store(d, to + ROW + 4L * ENTRIES);
  }

  /** The same, of one token and two queries. */
  private static void twoQueries(
      Order order, long tables, long toOther, long codes, int token, long out, long toOtherOut) {
    FloatVector a = FloatVector.zero(Lanes.F);
    FloatVector b = a;
    FloatVector c = a;
    FloatVector d = a;
    long table = tables;
    for (int word = 0; word < order.words; word++) {
      final long at = codes + ROW * ((long) token * order.ofToken + (long) word * order.ofWord);
      IntVector p = Lanes.loadInts(at);
      IntVector q = Lanes.loadInts(at + 4L * ENTRIES);
      for (int nibble = 0; nibble < NIBBLES_OF_WORD; nibble++) {
        IntVector sums = Lanes.loadInts(table);
        a = Lanes.lookUp(a, p, sums);
        b = Lanes.lookUp(b, q, sums);
        sums = Lanes.loadInts(table + toOther);
        c = Lanes.lookUp(c, p, sums);
        d = Lanes.lookUp(d, q, sums);
        p = p.lanewise(VectorOperators.LSHR, NIBBLE);
        q = q.lanewise(VectorOperators.LSHR, NIBBLE);
        table += 4L * ENTRIES;
      }
    }
    long to = out + ROW * token;
    Lanes.store(a, to);
    Lanes.store(b, to + 4L * ENTRIES);
    Lanes.store(c, to + toOtherOut);
    Lanes.store(d, to + toOtherOut + 4L * ENTRIES);
  }

  /** With tables of two registers, of which the highest bit of a nibble takes one. */
  private static void halves(Order order, long tables, long codes, int token, long out) {
    for (long i = 0; i < ROW; i += 4L * Lanes.N) {
      FloatVector sum = FloatVector.zero(Lanes.F);
      long table = tables;
      for (int word = 0; word < order.words; word++) {
        IntVector code =
            Lanes.loadInts(
                codes + ROW * ((long) token * order.ofToken + (long) word * order.ofWord) + i);
        for (int nibble = 0; nibble < NIBBLES_OF_WORD; nibble++) {
          VectorMask<Integer> upper = code.and(ENTRIES / 2).compare(VectorOperators.NE, 0);
          IntVector low = code.selectFrom(Lanes.loadInts(table));
          IntVector high = code.selectFrom(Lanes.loadInts(table + 4L * Lanes.N));
          sum = sum.add(low.blend(high, upper).reinterpretAsFloats());
          code = code.lanewise(VectorOperators.LSHR, NIBBLE);
          table += 4L * ENTRIES;
        }
      }
      Lanes.store(sum, out + ROW * token + i);
    }
  }

  private static void scalar(Order order, long tables, long codes, int token, long out) {
    for (int i = 0; i < BLOCK; i++) {
      float sum = 0;
      for (int word = 0; word < order.words; word++) {
        long at = codes + ROW * ((long) token * order.ofToken + (long) word * order.ofWord);
        int code = Memory.getInt(at + 4L * i);
        for (int nibble = 0; nibble < NIBBLES_OF_WORD; nibble++) {
          int entry =
              (word * NIBBLES_OF_WORD + nibble) * ENTRIES
                  + ((code >>> (NIBBLE * nibble)) & (ENTRIES - 1));
          sum += Memory.getFloat(tables + 4L * entry);
        }
      }
      Memory.putFloat(out + ROW * token + 4L * i, sum);
    }
  }
}
