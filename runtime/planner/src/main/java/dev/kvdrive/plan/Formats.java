package dev.kvdrive.plan;

import org.jspecify.annotations.Nullable;

/**
 * What closed chunks look like. A chunk closes into its backing form and enters a window only from
 * there, so that it is the same wherever it has been: what a step attends does not depend on tiers.
 *
 * @param resident in the window
 * @param backing in DRAM and on NVMe
 */
public record Formats(ChunkFormat resident, ChunkFormat backing) {
  /**
   * Those that are used unless others are asked for: where chunks are selected they are int8 below
   * the window, which lost no answers, and on a GPU in it too, where that made steps faster; in
   * exact mode, and where a type was asked for that is wider than bf16, they stay what was
   * computed.
   *
   * @param budget share of the closed chunks attended per step; 1 is exact mode
   */
  public static Formats usual(KvType type, double budget, DeviceKind device) {
    return of(type, budget, device, null, null);
  }

  /**
   * What a user has asked for, completed by what is usual; below a window in int8 chunks are int8
   * too.
   *
   * @param budget share of the closed chunks attended per step; 1 is exact mode
   * @param device what computes
   * @param resident null if it was not said
   * @param backing null if it was not said
   */
  public static Formats of(
      KvType type,
      double budget,
      DeviceKind device,
      @Nullable ChunkFormat resident,
      @Nullable ChunkFormat backing) {
    ChunkFormat plain = ChunkFormat.of(type);
    boolean selects = budget < 1 && type == KvType.BF16;
    ChunkFormat below =
        backing != null
            ? backing
            : selects || resident == ChunkFormat.INT8 ? ChunkFormat.INT8 : plain;
    boolean int8Window = selects && device.int8Windows() && below == ChunkFormat.INT8;
    return new Formats(resident != null ? resident : int8Window ? ChunkFormat.INT8 : plain, below);
  }

  /** Chunks stay what was computed. */
  public static Formats of(KvType type) {
    return new Formats(ChunkFormat.of(type), ChunkFormat.of(type));
  }

  /**
   * Checks that chunks of keys and values of a type can have these formats.
   *
   * @throws IllegalArgumentException if not, with those that can
   */
  public void check(KvType type) {
    ChunkFormat plain = ChunkFormat.of(type);
    check("resident", resident, plain);
    check("backing", backing, plain);
    if (resident == ChunkFormat.INT8 && backing != ChunkFormat.INT8) {
      throw new IllegalArgumentException(
          "resident INT8 with backing %s: windows are filled from DRAM, whose chunks would be twice as large for nothing; write backing INT8 too, or resident %s"
              .formatted(backing, plain));
    }
  }

  private static void check(String which, ChunkFormat format, ChunkFormat plain) {
    if (format != plain && format != ChunkFormat.INT8) {
      throw new IllegalArgumentException(
          "%s %s, but keys and values are %s: a chunk is %s or INT8; choose one of these, or the other type of keys and values"
              .formatted(which, format, plain, plain));
    }
  }
}
