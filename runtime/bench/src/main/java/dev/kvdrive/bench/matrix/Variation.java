package dev.kvdrive.bench.matrix;

import dev.kvdrive.bench.speed.Part;
import dev.kvdrive.bench.speed.ProbeSettings;
import dev.kvdrive.bench.speed.ProbeSettings.Attention;
import dev.kvdrive.bench.speed.ProbeSettings.Parts;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.WindowOptions.Division;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * How a configuration differs from what {@code serve} does: one part of the method is switched off,
 * or on where it is off; or another method takes its place.
 */
public enum Variation {
  /** Nothing differs: what all others are compared with. */
  NONE(Kind.METHOD, "kvdrive"),

  /** Every chunk is attended, and all of them are in the window. */
  EXACT(Kind.METHOD, "exact"),

  FULL_OFFLOAD(Kind.BASELINE, "full-offload"),
  QUEST(Kind.BASELINE, "quest"),
  SHADOWKV(Kind.BASELINE, "shadowkv"),
  RETROINFER(Kind.BASELINE, "retroinfer"),
  KVDRIVE_PAPER(Kind.BASELINE, "kvdrive-paper"),
  FULL(Kind.BASELINE, "full"),

  /** What is not attended is not estimated. */
  ESTIMATE(Part.ESTIMATE),

  /** The chunk used least recently leaves a window first. */
  LOOKAHEAD(Part.LOOKAHEAD),

  /** Slots are divided over layers and heads by what they save. */
  BY_REUSE(Kind.PART, "with slots by reuse"),

  /** Windows are empty after the prompt. */
  WARM_UP(Part.WARM_UP),

  /** Chunks may be brought for the next layer. */
  PREFETCH(Kind.PART, "with prefetch"),

  /** Chunks below the window are as they were computed. */
  INT8(Part.INT8),

  /** Chunks in the window are int8 too. */
  INT8_WINDOWS(Kind.PART, "with int8 windows"),

  /** Chunks in windows are as they were computed, whatever they are below. */
  BF16_WINDOWS(Kind.PART, "with bf16 windows"),

  /** Misses are fetched between computations, not beside them. */
  PIPELINE(Part.PIPELINE),

  /** All rows of a step select before any of their misses is awaited. */
  MICRO_BATCHES(Part.MICRO_BATCHES),

  /** What is on NVMe is encrypted. */
  ENCRYPTION(Kind.PART, "with encryption"),

  /** Everything is attended because the length says so. */
  DENSE(Kind.PART, "with dense"),

  /** The only sequence of an engine with four seats. */
  SEATS(Kind.PART, "one of 4 seats"),

  /** The same, with the slots of all seats. */
  LENT(Kind.PART, "one of 4 seats, slots lent");

  /** What a variation is of. */
  public enum Kind {
    METHOD,
    BASELINE,
    PART
  }

  private static final int SEATS_OF_MANY = 4;

  private final Kind kind;
  private final String words;
  private final @Nullable Part off;

  Variation(Kind kind, String words) {
    this.kind = kind;
    this.words = words;
    off = null;
  }

  /** Without a part. */
  Variation(Part part) {
    kind = Kind.PART;
    words = "without " + part;
    off = part;
  }

  /** What it is of. */
  public Kind kind() {
    return kind;
  }

  /** What a table calls it. */
  public String words() {
    return words;
  }

  /** As users name it. */
  public String key() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** Whether it has the bytes that what it is compared with has; the others have what they need. */
  boolean capped() {
    return switch (this) {
      case EXACT, DENSE, SEATS, LENT -> false;
      default -> true;
    };
  }

  /** The configuration; null where nothing would differ from {@code base}. */
  @Nullable ProbeSettings of(ProbeSettings base, ModelGeometry model) {
    Parts parts = base.parts();
    Attention attention = base.attention();
    boolean alone = base.work().sequences() == 1;
    ProbeSettings varied =
        switch (this) {
          case NONE -> base;
          case EXACT -> base.with(attention.exact());
          case FULL, FULL_OFFLOAD -> base.with(attention.exact().by(key(), null));
          case QUEST, SHADOWKV, RETROINFER, KVDRIVE_PAPER -> base.with(attention.by(key(), null));
          case ESTIMATE, LOOKAHEAD, WARM_UP, INT8, PIPELINE, MICRO_BATCHES ->
              Objects.requireNonNull(off).off(base, model);
          case BY_REUSE -> base.with(parts.with(parts.windows().with(Division.BY_REUSE)));
          case PREFETCH -> base.with(parts.with(parts.windows().withPrefetch(true)));
          case INT8_WINDOWS ->
              base.with(attention.with(new Formats(ChunkFormat.INT8, ChunkFormat.INT8)));
          case BF16_WINDOWS ->
              base.with(
                  attention.with(new Formats(ChunkFormat.BF16, attention.formats().backing())));
          case ENCRYPTION ->
              base.tiers().dramShare() < 1
                  ? base.with(base.tiers().with(NvmeEncryption.AES_GCM))
                  : base;
          case DENSE ->
              base.with(attention.denseBelow(base.work().promptTokens() + base.work().tokens()));
          case SEATS -> alone ? ofManySeats(base, Division.UNIFORM) : base;
          case LENT -> alone ? ofManySeats(base, Division.LENT) : base;
        };
    return this != NONE && varied.equals(base) ? null : varied;
  }

  private static ProbeSettings ofManySeats(ProbeSettings base, Division division) {
    Parts parts = base.parts();
    return base.of(base.work().withSeats(SEATS_OF_MANY))
        .with(parts.with(parts.windows().with(division)));
  }
}
