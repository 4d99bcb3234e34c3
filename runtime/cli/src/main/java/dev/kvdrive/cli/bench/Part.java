package dev.kvdrive.cli.bench;

import dev.kvdrive.bench.speed.ProbeSettings.Parts;
import java.util.Locale;

/** A part of the method that changes no token and can be switched off. */
enum Part {
  PIPELINE {
    @Override
    Parts off(Parts all) {
      return new Parts(all.windows(), false, all.microBatches());
    }
  },
  MICRO_BATCHES {
    @Override
    Parts off(Parts all) {
      return new Parts(all.windows(), all.pipeline(), 1);
    }
  },
  WARM_UP {
    @Override
    Parts off(Parts all) {
      return new Parts(all.windows().withWarmUp(0), all.pipeline(), all.microBatches());
    }
  },
  PREFETCH {
    @Override
    Parts off(Parts all) {
      return new Parts(all.windows().withPrefetch(false), all.pipeline(), all.microBatches());
    }
  };

  /** The others. */
  abstract Parts off(Parts all);

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
