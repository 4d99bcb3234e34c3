package dev.kvdrive.bench.model;

import dev.kvdrive.plan.ModelShape;
import java.util.Locale;

/**
 * The shape of a Llama-like model with tied embeddings.
 *
 * @param name as it is written in an address
 * @param shape its sizes
 * @param maxContext tokens it claims to be trained for
 */
public record NamedShape(String name, ModelShape shape, int maxContext) implements ModelShape.Of {
  /** Llama 3.2 1B. */
  public static final NamedShape LLAMA_3_2_1B =
      new NamedShape("llama-3.2-1b", new ModelShape(16, 2048, 32, 8, 64, 8192, 128_256), 131_072);

  /** Llama 3 8B, but for its output matrix, which is none of its own here. */
  public static final NamedShape LLAMA_3_8B =
      new NamedShape("llama-3-8b", new ModelShape(32, 4096, 32, 8, 128, 14_336, 128_256), 131_072);

  /** Small enough for tests. */
  public static final NamedShape TEST =
      new NamedShape("test", new ModelShape(2, 128, 4, 2, 32, 256, 512), 4096);

  /** The shape of a name. */
  public static NamedShape of(String name) {
    for (NamedShape shape : new NamedShape[] {LLAMA_3_2_1B, LLAMA_3_8B, TEST}) {
      if (shape.name.equals(name.toLowerCase(Locale.ROOT))) {
        return shape;
      }
    }
    throw new IllegalArgumentException(
        "there is no shape '%s'; there are %s and %s"
            .formatted(name, LLAMA_3_2_1B.name, LLAMA_3_8B.name));
  }
}
