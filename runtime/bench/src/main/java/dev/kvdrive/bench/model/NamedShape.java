package dev.kvdrive.bench.model;

import java.util.Locale;

/**
 * The shape of a Llama-like model with tied embeddings.
 *
 * @param name as it is written in an address
 * @param layers transformer layers
 * @param hidden width of the residual stream
 * @param heads query heads
 * @param kvHeads KV heads
 * @param headDim elements of a head
 * @param feedForward inner width of the MLP
 * @param vocabulary rows of the embedding
 * @param maxContext tokens it claims to be trained for
 */
public record ModelShape(
    String name,
    int layers,
    int hidden,
    int heads,
    int kvHeads,
    int headDim,
    int feedForward,
    int vocabulary,
    int maxContext) {
  /** Llama 3.2 1B. */
  public static final ModelShape LLAMA_3_2_1B =
      new ModelShape("llama-3.2-1b", 16, 2048, 32, 8, 64, 8192, 128_256, 131_072);

  /** Small enough for tests. */
  public static final ModelShape TEST = new ModelShape("test", 2, 128, 4, 2, 32, 256, 512, 4096);

  /** The shape of a name. */
  public static ModelShape of(String name) {
    for (ModelShape shape : new ModelShape[] {LLAMA_3_2_1B, TEST}) {
      if (shape.name.equals(name.toLowerCase(Locale.ROOT))) {
        return shape;
      }
    }
    throw new IllegalArgumentException(
        "there is no shape '%s'; there is %s".formatted(name, LLAMA_3_2_1B.name));
  }
}
