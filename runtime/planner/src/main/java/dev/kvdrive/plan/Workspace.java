package dev.kvdrive.plan;

/** Sizes of device workspaces that planner, engine and backends must agree on. */
public final class Workspace {
  /** Parts that a backend may split one row's attention into. */
  public static final int ATTENTION_SPLITS = 64;

  private Workspace() {}

  /**
   * Bytes of the running attention state of a decode step: per (row, query head) maximum, sum and
   * {@code headDim} weighted values, once merged and once for each split, and one F32 score for
   * each token of a pass.
   */
  public static long attentionBytes(ModelGeometry model, ChunkGrid grid, int rows, int passChunks) {
    long perHead =
        4L * (2 + model.headDim()) * (1 + ATTENTION_SPLITS) + 4L * passChunks * grid.chunk();
    return rows * (long) model.heads() * perHead;
  }
}
