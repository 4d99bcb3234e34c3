package dev.kvdrive.bench.matrix;

import java.util.Comparator;

/**
 * What all configurations have in common that are measured in turn.
 *
 * @param length tokens of the prompt
 * @param batch sequences that decode together
 * @param tiers where the KV cache has room
 */
public record Cell(int length, int batch, Tiering tiers) {
  /** By tiers, batch and length. */
  static final Comparator<Cell> IN_ORDER =
      Comparator.comparing(Cell::tiers)
          .thenComparingInt(Cell::batch)
          .thenComparingInt(Cell::length);

  /** As people write it. */
  public String words() {
    return "%s, batch %d, %s".formatted(lengthWords(), batch, tiers.words());
  }

  /** The length: 8k, or 500. */
  public String lengthWords() {
    return length % 1000 == 0 ? length / 1000 + "k" : Integer.toString(length);
  }
}
