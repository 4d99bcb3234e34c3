package dev.kvdrive.text;

import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Byte-pair encoding: of all neighbouring symbols that may merge, the pair of the lowest rank
 * merges first, the leftmost among equals, until none may.
 *
 * <p>The same algorithm serves three vocabularies: byte-level ones (symbols start as bytes, ranks
 * are the order of the merges), the BPE of {@code tokenizer.json} over characters, and
 * SentencePiece's BPE (symbols start as characters, ranks are the order of the scores). A heap of
 * candidate pairs keeps one word of n characters at O(n log n): SentencePiece vocabularies see a
 * whole document as one word. Frequent short words come out of a small lock-free cache.
 */
final class BytePairModel implements WordModel {

  private static final int CACHE_SLOTS = 1 << 13;
  private static final int CACHED_WORD = 40;

  private static final class Word {
    final String text;
    final int[] ids;

    Word(String text, int[] ids) {
      this.text = text;
      this.ids = ids;
    }
  }

  /** How a character (or byte) outside the vocabulary is written. */
  static final class Fallback {
    final int @Nullable [] byteIds;
    final int unknown;
    final boolean fuseUnknown;

    /**
     * @param byteIds the token of each byte, -1 where there is none; null without byte tokens
     * @param unknown the unknown token, or -1: the character is left out
     * @param fuseUnknown neighbouring unknown characters are one unknown token
     */
    Fallback(int @Nullable [] byteIds, int unknown, boolean fuseUnknown) {
      this.byteIds = byteIds;
      this.unknown = unknown;
      this.fuseUnknown = fuseUnknown;
    }
  }

  private final int @Nullable [] byteSymbols;
  private final Map<Integer, Integer> characters;
  private final PairTable merges;
  private final Map<String, Integer> wholeWords;
  private final Fallback fallback;
  private final AtomicReferenceArray<@Nullable Word> cache =
      new AtomicReferenceArray<>(CACHE_SLOTS);

  /**
   * @param byteSymbols id of each byte, -1 where there is none; null for a character vocabulary
   * @param characters code point to id, for a character vocabulary
   * @param wholeWords words that become one token whatever the merges say
   */
  BytePairModel(
      int @Nullable [] byteSymbols,
      Map<Integer, Integer> characters,
      PairTable merges,
      Map<String, Integer> wholeWords,
      Fallback fallback) {
    this.byteSymbols = byteSymbols;
    this.characters = characters;
    this.merges = merges;
    this.wholeWords = wholeWords;
    this.fallback = fallback;
  }

  @Override
  public void encode(String text, int from, int to, EncodingWork work, Ids out) {
    int length = to - from;
    if (length > CACHED_WORD) {
      merge(text, from, to, out);
      return;
    }
    int hash = length;
    for (int i = from; i < to; i++) {
      hash = hash * 31 + text.charAt(i);
    }
    int slot = (hash ^ (hash >>> 15)) & (CACHE_SLOTS - 1);
    Word word = cache.get(slot);
    if (word != null
        && word.text.length() == length
        && text.regionMatches(from, word.text, 0, length)) {
      out.addAll(word.ids);
      return;
    }
    int start = out.size();
    merge(text, from, to, out);
    cache.set(slot, new Word(text.substring(from, to), out.from(start)));
  }

  private void merge(String text, int from, int to, Ids out) {
    if (!wholeWords.isEmpty()) {
      Integer whole = wholeWords.get(text.substring(from, to));
      if (whole != null) {
        out.add(whole);
        return;
      }
    }
    int[] symbols = byteSymbols != null ? bytes(text, from, to) : characters(text, from, to);
    int n = symbols.length;
    int[] next = new int[n + 1];
    int[] previous = new int[n + 1];
    for (int i = 0; i <= n; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    // A candidate is rank << 32 | position of its left symbol, so that longs order as wanted.
    // Candidates are not withdrawn when a neighbour merges: a popped one is checked against the
    // symbols of now.
    Heap heap = new Heap(n);
    for (int i = 0; i + 1 < n; i++) {
      offer(heap, symbols, i, i + 1);
    }
    while (!heap.isEmpty()) {
      long candidate = heap.pop();
      int left = (int) candidate;
      int right = next[left];
      if (right >= n || symbols[left] == GONE) {
        continue;
      }
      long merge = merges.get(symbols[left], symbols[right]);
      if (merge == PairTable.NONE || merge >>> 32 != candidate >>> 32) {
        continue;
      }
      symbols[left] = (int) merge;
      symbols[right] = GONE;
      int after = next[right];
      next[left] = after;
      previous[after] = left;
      if (previous[left] >= 0) {
        offer(heap, symbols, previous[left], left);
      }
      if (after < n) {
        offer(heap, symbols, left, after);
      }
    }
    boolean afterUnknown = false;
    for (int i = 0; i < n; i = next[i]) {
      if (symbols[i] >= 0) {
        out.add(symbols[i]);
        afterUnknown = false;
      } else {
        afterUnknown = writeUnknown(~symbols[i], afterUnknown, out);
      }
    }
  }

  /** A symbol that was merged into the one on its left; no {@code ~codePoint} is that small. */
  private static final int GONE = Integer.MIN_VALUE;

  private void offer(Heap heap, int[] symbols, int left, int right) {
    long merge = merges.get(symbols[left], symbols[right]);
    if (merge != PairTable.NONE) {
      heap.push((merge & 0xffffffff00000000L) | left);
    }
  }

  private boolean writeUnknown(int codePoint, boolean afterUnknown, Ids out) {
    int[] byteIds = fallback.byteIds;
    if (byteIds != null) {
      byte[] utf8 = Utf8.of(codePoint);
      boolean all = true;
      for (byte b : utf8) {
        all &= byteIds[b & 0xff] >= 0;
      }
      if (all) {
        for (byte b : utf8) {
          out.add(byteIds[b & 0xff]);
        }
        return false;
      }
    }
    if (fallback.unknown >= 0 && !(afterUnknown && fallback.fuseUnknown)) {
      out.add(fallback.unknown);
    }
    return true;
  }

  private int[] bytes(String text, int from, int to) {
    byte[] utf8 = Utf8.of(text, from, to);
    int[] symbols = new int[utf8.length];
    int[] ids = byteSymbols;
    for (int i = 0; i < symbols.length; i++) {
      int id = ids == null ? -1 : ids[utf8[i] & 0xff];
      symbols[i] = id >= 0 ? id : ~(utf8[i] & 0xff);
    }
    return symbols;
  }

  private int[] characters(String text, int from, int to) {
    int[] symbols = new int[to - from];
    int n = 0;
    for (int i = from; i < to; ) {
      int codePoint = Utf8.codePoint(text, i, to);
      Integer id = characters.get(codePoint);
      symbols[n++] = id == null ? ~codePoint : id;
      i += Character.charCount(codePoint);
    }
    return n == symbols.length ? symbols : Arrays.copyOf(symbols, n);
  }

  /** A binary heap of longs, smallest first. */
  private static final class Heap {

    private long[] items;
    private int size;

    Heap(int capacity) {
      items = new long[Math.max(8, capacity)];
    }

    boolean isEmpty() {
      return size == 0;
    }

    void push(long item) {
      if (size == items.length) {
        items = Arrays.copyOf(items, size * 2);
      }
      int at = size++;
      while (at > 0) {
        int parent = (at - 1) >>> 1;
        if (items[parent] <= item) {
          break;
        }
        items[at] = items[parent];
        at = parent;
      }
      items[at] = item;
    }

    long pop() {
      long top = items[0];
      long last = items[--size];
      int at = 0;
      while (true) {
        int child = 2 * at + 1;
        if (child >= size) {
          break;
        }
        if (child + 1 < size && items[child + 1] < items[child]) {
          child++;
        }
        if (items[child] >= last) {
          break;
        }
        items[at] = items[child];
        at = child;
      }
      items[at] = last;
      return top;
    }
  }
}
