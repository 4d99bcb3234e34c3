package dev.kvdrive.text;

import java.util.Arrays;

/**
 * What each id writes. Bytes of all tokens lie in one array: a vocabulary has 10^5 of them.
 * Immutable.
 */
final class Vocabulary {

  private final String[] pieces;
  private final byte[] bytes;
  private final int[] ends;
  private final boolean[] special;

  /**
   * @param pieces spelling by id
   * @param written bytes by id
   * @param special control tokens
   */
  Vocabulary(String[] pieces, byte[][] written, boolean[] special) {
    this.pieces = pieces;
    this.special = special;
    this.ends = new int[written.length];
    int total = 0;
    for (int id = 0; id < written.length; id++) {
      total = Math.addExact(total, written[id].length);
      ends[id] = total;
    }
    this.bytes = new byte[total];
    for (int id = 0; id < written.length; id++) {
      System.arraycopy(written[id], 0, bytes, start(id), written[id].length);
    }
  }

  int size() {
    return pieces.length;
  }

  String piece(int id) {
    return pieces[check(id)];
  }

  boolean isSpecial(int id) {
    return special[check(id)];
  }

  int byteCount(int id) {
    return ends[check(id)] - start(id);
  }

  byte[] bytes(int id) {
    check(id);
    return Arrays.copyOfRange(bytes, start(id), ends[id]);
  }

  void copy(int id, byte[] to, int at) {
    System.arraycopy(bytes, start(id), to, at, ends[id] - start(id));
  }

  private int start(int id) {
    return id == 0 ? 0 : ends[id - 1];
  }

  private int check(int id) {
    if (id < 0 || id >= pieces.length) {
      throw new IllegalArgumentException(
          "token id " + id + " is outside the vocabulary of " + pieces.length);
    }
    return id;
  }
}
