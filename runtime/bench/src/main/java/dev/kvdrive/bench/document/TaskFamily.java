package dev.kvdrive.bench.document;

import java.util.List;
import java.util.Locale;

/**
 * Families of tasks of the RULER benchmark (arXiv 2404.06654) and its relatives, most of them in
 * the wordings that the bundled model was trained on.
 */
public enum TaskFamily {
  /** One number in prose. */
  NIAH_SINGLE(48),
  /** One number among sentences that each state another. */
  NIAH_MULTIKEY_2(48),
  /** Four numbers in prose, all asked for at once. */
  NIAH_MULTIQUERY(120),
  /** The value of one key of a large JSON object. */
  JSON_KV(100),
  /** A pass key in prose. */
  PASSKEY(32),
  /** A fact about an invented company, among others of the kind, in prose. */
  FACT_QA(48),
  /**
   * What prose says of one ship in two places, among others of the kind, as a JSON object: scored
   * by its fields. The bundled model was not trained on it, and cannot do it.
   */
  EXTRACT_JSON(96);

  /** Those that the bundled model was trained on. */
  public static final List<TaskFamily> TRAINED =
      List.of(NIAH_SINGLE, NIAH_MULTIKEY_2, NIAH_MULTIQUERY, JSON_KV, PASSKEY, FACT_QA);

  private final int maxNewTokens;

  TaskFamily(int maxNewTokens) {
    this.maxNewTokens = maxNewTokens;
  }

  /** Tokens that an answer may have. */
  public int maxNewTokens() {
    return maxNewTokens;
  }

  /** The family's name in task files and tables. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
