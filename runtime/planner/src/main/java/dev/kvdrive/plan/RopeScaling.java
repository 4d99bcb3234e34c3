package dev.kvdrive.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * How a model is to serve a longer context than it was trained for: by stretching its rotary
 * embedding. It applies to short prompts too, whose answers change a little.
 *
 * @param type how the frequencies are stretched
 * @param factor how many times, above 1
 * @param originalContext tokens of the context that is stretched; null for what the model was
 *     trained for
 */
public record RopeScaling(Type type, double factor, @Nullable Integer originalContext) {
  /** Far beyond any use. */
  public static final double MAX_FACTOR = 1024;

  /** How frequencies are stretched. */
  public enum Type {
    /** Blends by wavelength, with an attention factor (arXiv 2309.00071). */
    YARN,
    /** Position interpolation: all alike. */
    LINEAR;

    /** As flags and manifests write it. */
    public String word() {
      return name().toLowerCase(Locale.ROOT);
    }

    /**
     * The type that a flag or manifest names.
     *
     * @throws IllegalArgumentException if there is none of that name
     */
    public static Type of(String word) {
      for (Type type : values()) {
        if (type.word().equals(word)) {
          return type;
        }
      }
      throw new IllegalArgumentException(
          "rope scaling %s is not supported; use yarn or linear (dynamic scalings change with the length, which keys in a cache cannot)"
              .formatted(word));
    }
  }

  public RopeScaling {
    if (!(factor > 1 && factor <= MAX_FACTOR)) {
      throw new IllegalArgumentException(
          "the factor of rope scaling must be above 1 and at most %.0f, not %s"
              .formatted(MAX_FACTOR, factor));
    }
    if (originalContext != null && originalContext < 1) {
      throw new IllegalArgumentException(
          "the original context of rope scaling must be at least 1, not " + originalContext);
    }
  }

  /**
   * What the values are called where they are written.
   *
   * @param type for instance {@code --rope-scaling}
   * @param factor for instance {@code --rope-factor}
   * @param originalContext for instance {@code --rope-original-context}
   */
  public record Names(String type, String factor, String originalContext) {}

  /**
   * A scaling of which each value may have been left out.
   *
   * @return null if all were
   * @throws IllegalArgumentException if it is incomplete or wrong, with what was written and what
   *     is missing
   */
  public static @Nullable RopeScaling of(
      Names names, @Nullable String type, @Nullable Double factor, @Nullable Integer original) {
    if (type != null && factor != null) {
      return new RopeScaling(Type.of(type), factor, original);
    }
    if (type == null && factor == null && original == null) {
      return null;
    }
    List<String> written = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    (type == null ? missing : written)
        .add(type == null ? names.type() + " yarn (or linear)" : names.type() + " " + type);
    (factor == null ? missing : written)
        .add(factor == null ? names.factor() + " 4" : names.factor() + " " + factor);
    if (original != null) {
      written.add(names.originalContext() + " " + original);
    }
    throw new IllegalArgumentException(
        "%s alone does not extend a context; add for instance %s, as the model's card says"
            .formatted(String.join(" ", written), String.join(" ", missing)));
  }

  /** Tokens of the context that is stretched, of a model trained for {@code trained} tokens. */
  public int original(int trained) {
    return originalContext == null ? trained : originalContext;
  }

  /**
   * Tokens that a model can serve with it.
   *
   * @param model for messages
   * @param trained tokens it was trained for
   * @param limit what bounds its context without
   * @throws IllegalArgumentException if it cannot be extended, or is not by this
   */
  public int context(String model, int trained, ContextLimit limit) {
    if (!limit.extendable()) {
      throw new IllegalArgumentException(
          "rope scaling (%s) cannot extend the context of %s: its %,d tokens are %s; leave rope scaling out"
              .formatted(this, model, trained, limit.words()));
    }
    if (original(trained) > trained) {
      throw new IllegalArgumentException(
          "rope scaling (%s) of %s starts from %,d tokens, but the model was trained for %,d; give an original context of at most that"
              .formatted(this, model, original(trained), trained));
    }
    long reached = (long) (factor * original(trained));
    if (reached <= trained) {
      throw new IllegalArgumentException(
          "rope scaling (%s) of %s reaches %,d tokens, no more than the %,d it has without; raise the factor or leave rope scaling out"
              .formatted(this, model, reached, trained));
    }
    if (reached > ModelGeometry.MAX_CONTEXT) {
      throw new IllegalArgumentException(
          "rope scaling (%s) of %s reaches %,d tokens; a plan is possible for at most %,d"
              .formatted(this, model, reached, ModelGeometry.MAX_CONTEXT));
    }
    return (int) reached;
  }

  @Override
  public String toString() {
    String number = factor == Math.rint(factor) ? String.valueOf((long) factor) : "" + factor;
    return "%s, factor %s%s"
        .formatted(
            type.word(),
            number,
            originalContext == null ? "" : ", original context " + originalContext);
  }
}
