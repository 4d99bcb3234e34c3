package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.speed.ProbeSettings.Attention;
import dev.kvdrive.bench.speed.ProbeSettings.Parts;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.WindowOptions.Division;
import java.util.Locale;

/** A part of the method that can be switched off. */
public enum Part {
  /** Without it, what is not attended is not estimated. */
  ESTIMATE,

  /** Without it, the chunk used least recently leaves a window first. */
  LOOKAHEAD,

  /** Without it, all windows have as many slots. */
  BY_REUSE,

  /** Without it, windows are empty after the prompt. */
  WARM_UP,

  /** Without it, no chunks are brought for the next layer. */
  PREFETCH,

  /** Without it, chunks are as they were computed. */
  INT8,

  /** Without it, chunks in the window are. */
  INT8_WINDOWS,

  /** Without it, misses are fetched between computations, not beside them. */
  PIPELINE,

  /** Without them, all rows of a step select before any of their misses is awaited. */
  MICRO_BATCHES;

  /** As users name it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** The same configuration without it; {@code base} itself where it is off, or is no part. */
  public ProbeSettings off(ProbeSettings base, ModelGeometry model) {
    Parts parts = base.parts();
    Attention attention = base.attention();
    return switch (this) {
      case ESTIMATE -> {
        PolicyShape policy = PolicyShape.of(attention.policy(), attention.index(), model);
        yield policy.clusters() == null || !policy.takesIndex()
            ? base
            : base.with(attention.by(policy.name(), new IndexShape(policy.summary(), null)));
      }
      case LOOKAHEAD ->
          attention.policy().equals(PolicyShape.KVDRIVE.name())
              ? base.with(attention.by(PolicyShape.KVDRIVE_RECENT.name(), attention.index()))
              : base;
      case BY_REUSE ->
          parts.windows().division() == Division.BY_REUSE
              ? base.with(parts.with(parts.windows().with(Division.UNIFORM)))
              : base;
      case WARM_UP -> base.with(parts.with(parts.windows().withWarmUp(0)));
      case PREFETCH -> base.with(parts.with(parts.windows().withPrefetch(false)));
      case INT8 -> base.with(attention.with(Formats.of(ProbeSettings.KV)));
      case INT8_WINDOWS -> {
        Formats formats = attention.formats();
        Formats plain = Formats.of(ProbeSettings.KV);
        yield base.with(attention.with(new Formats(plain.resident(), formats.backing())));
      }
      case PIPELINE -> base.with(new Parts(parts.windows(), false, parts.microBatches()));
      case MICRO_BATCHES ->
          base.work().sequences() == 1
              ? base
              : base.with(new Parts(parts.windows(), parts.pipeline(), 1));
    };
  }
}
