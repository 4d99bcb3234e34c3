package dev.kvdrive.cuda;

import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.LayerReuse;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.RowSampling;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.Uses;
import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.ClusterFormat;
import dev.kvdrive.plan.TwoBitSummary;
import dev.kvdrive.plan.WeightFormat;
import dev.kvdrive.plan.Workspace;
import java.util.LinkedHashMap;
import java.util.Map;

/** Numbers that kernels and Java share; the header has them from here. */
final class Constants {
  static final int WARP = 32;

  /** Elements of a head at most: 32 lanes with eight each. */
  static final int MAX_HEAD_DIM = 256;

  /** Tokens of a chunk that the kernels take at most. */
  static final int MAX_CHUNK = 8;

  /** Rotated pairs of a head at most. */
  static final int MAX_PAIRS = 256;

  /**
   * Partial attention states of a (row, head): the dense part, then those of hits (and what is
   * estimated) and of misses.
   */
  static final int STATE_PARTS = 1 + Workspace.ATTENTION_SPLITS;

  static final int SCORE_WARPS = 8;

  /** Chunks of one block that scores. */
  static final int SCORE_TILE = 256;

  /** Query heads of one block that scores. */
  static final int SCORE_QUERIES = 8;

  static final int WEIGH_THREADS = 1024;

  /** Query heads of one block that weighs bits. */
  static final int WEIGH_QUERIES = 2;

  /** Largest weight of a bit in steps: two signed bytes. */
  static final int WEIGHT_MOST = 127 * 256 + 127;

  /** Words of bits that a token has at most. */
  static final int BIT_WORDS = BitPlaneSummary.MOST * MAX_HEAD_DIM / BitPlaneSummary.WORD;

  /**
   * Bytes of what the bits of a token add to the scores of {@link #SCORE_QUERIES} queries: two for
   * each weight, and two numbers of a query.
   */
  static final int BIT_WEIGHTS_BYTES =
      SCORE_QUERIES * (2 * BIT_WORDS * BitPlaneSummary.WORD + 2 * Float.BYTES);

  /** Least sum of exponentials that has all of its bits. */
  static final float SMALLEST_SUM = 0x1p-80f;

  static final int SHARE_THREADS = 256;

  /** Chunks of one block that merges the queries of a group. */
  static final int SHARE_TILE = 1024;

  static final int SELECT_THREADS = 1024;

  /** Values of the digits by which the largest are found. */
  static final int RADIX_BINS = 2048;

  static final int DIFF_THREADS = 512;

  static final int FETCH_THREADS = 256;

  /** (Row, KV head)s whose misses are counted at once. */
  static final int FETCH_CELLS = 1024;

  /** Threads of a block that chooses the token of a row: as many as there can be. */
  static final int CHOOSE_THREADS = 1024;

  static final int ATTEND_WARPS = 4;

  /** Tokens of a chunk that a warp has copied whole, two chunks to a stage. */
  static final int STAGED_TOKENS = 8;

  /** Stages of a warp, all but one of which are on their way. */
  static final int STAGES = 3;

  /** Chunks that a warp looks up at once. */
  static final int STAGED_LIST = 128;

  /** Query heads of one block that attends on tensor cores: half the rows of a product. */
  static final int ATTEND_QUERIES = 8;

  static final int FINISH_THREADS = 256;
  static final int CAUSAL_QUERIES = 32;
  static final int CAUSAL_KEYS = 32;
  static final int CAUSAL_LANES = 8;

  /** Warps and keys of a block of causal attention on tensor cores. */
  static final int TILE_WARPS = 4;

  static final int TILE_KEYS = 64;

  /** Keys of a tile of causal attention for compute capability 9.0, and tiles that are ahead. */
  static final int WIDE_KEYS = 128;

  static final int WIDE_STAGES = 2;

  /** Tokens and clusters of one tile in which the nearest are found, lanes of a token. */
  static final int CLUSTER_TOKENS = 64;

  static final int CLUSTER_TILE = 64;
  static final int CLUSTER_LANES = 16;

  /** Elements of rows that are compared at once. */
  static final int CLUSTER_DEPTH = 32;

  /** Threads of the kernels for whole clusters: at least the elements of a head. */
  static final int CLUSTER_THREADS = MAX_HEAD_DIM;

  /** Clusters whose tokens are counted at once. */
  static final int ESTIMATE_TILE = 1024;

  static final int ATTEND_DENSE = 0;
  static final int ATTEND_HITS = 1;
  static final int ATTEND_MISSES = 2;
  static final int ATTEND_REST = 3;

  /** Slices in which the blocks of a row of a packed matrix are summed. */
  static final int PACKED_SLICES = 16;

  /** Warps of a block of threads that multiplies with a packed matrix. */
  static final int PACKED_WARPS = PACKED_SLICES;

  /** Warps of a block of threads that widens a packed matrix, and blocks of a row that it has. */
  static final int WIDEN_WARPS = 8;

  static final int WIDEN_BLOCKS = 4 * WIDEN_WARPS;

  /** What a kernel found wrong: a token that the table does not have. */
  static final int TROUBLE_TOKEN = 1;

  /** What a kernel found wrong: an extent without a frame. */
  static final int TROUBLE_FRAME = 2;

  private Constants() {}

  /** All of them as C writes them, in order. */
  static Map<String, String> all() {
    Map<String, String> all = new LinkedHashMap<>();
    put(all, "WARP", WARP);
    put(all, "MAX_HEAD_DIM", MAX_HEAD_DIM);
    put(all, "MAX_CHUNK", MAX_CHUNK);
    put(all, "MAX_PAIRS", MAX_PAIRS);
    put(all, "STATE_PARTS", STATE_PARTS);
    all.put("SMALLEST_KEY", Float.toHexString(TwoBitSummary.SMALLEST_KEY) + "f");
    put(all, "CODES_OF_WORD", TwoBitSummary.CODES_OF_WORD);
    put(all, "CODE_MOST", ChunkLayout.MOST);
    all.put("SMALLEST_ROW", Float.toHexString(ChunkLayout.SMALLEST) + "f");
    put(all, "LEAST_OF", IndexOperations.Best.LEAST_OF);
    put(all, "BITS_OF_WORD", BitPlaneSummary.WORD);
    put(all, "MAX_PLANES", BitPlaneSummary.MOST);
    put(all, "SCORE_WARPS", SCORE_WARPS);
    put(all, "SCORE_TILE", SCORE_TILE);
    put(all, "SCORE_QUERIES", SCORE_QUERIES);
    put(all, "WEIGH_THREADS", WEIGH_THREADS);
    put(all, "WEIGH_QUERIES", WEIGH_QUERIES);
    put(all, "WEIGHT_MOST", WEIGHT_MOST);
    put(all, "BIT_WORDS", BIT_WORDS);
    put(all, "BIT_WEIGHTS_BYTES", BIT_WEIGHTS_BYTES);
    all.put("SMALLEST_SUM", Float.toHexString(SMALLEST_SUM) + "f");
    put(all, "SHARE_THREADS", SHARE_THREADS);
    put(all, "SHARE_TILE", SHARE_TILE);
    put(all, "SELECT_THREADS", SELECT_THREADS);
    put(all, "RADIX_BINS", RADIX_BINS);
    put(all, "DIFF_THREADS", DIFF_THREADS);
    put(all, "USES_MOST", Uses.MOST);
    all.put("USES_OFTEN", Float.toHexString(Uses.OFTEN) + "f");
    all.put("USES_LONG_AGO", Float.toHexString(Uses.LONG_AGO) + "f");
    put(all, "FETCH_THREADS", FETCH_THREADS);
    put(all, "FETCH_CELLS", FETCH_CELLS);
    put(all, "CHOOSE_THREADS", CHOOSE_THREADS);
    put(all, "SAMPLING_BYTES", RowSampling.BYTES);
    put(all, "SAMPLING_TEMPERATURE", RowSampling.TEMPERATURE);
    put(all, "SAMPLING_TOP_K", RowSampling.TOP_K);
    put(all, "SAMPLING_TOP_P", RowSampling.TOP_P);
    put(all, "SAMPLING_MIN_P", RowSampling.MIN_P);
    put(all, "SAMPLING_DRAW", RowSampling.DRAW);
    all.put("SAMPLING_WHOLE", RowSampling.WHOLE + "ull");
    put(all, "ATTEND_WARPS", ATTEND_WARPS);
    put(all, "STAGED_TOKENS", STAGED_TOKENS);
    put(all, "STAGES", STAGES);
    put(all, "STAGED_LIST", STAGED_LIST);
    put(all, "ATTEND_QUERIES", ATTEND_QUERIES);
    put(all, "FINISH_THREADS", FINISH_THREADS);
    put(all, "CAUSAL_QUERIES", CAUSAL_QUERIES);
    put(all, "CAUSAL_KEYS", CAUSAL_KEYS);
    put(all, "CAUSAL_LANES", CAUSAL_LANES);
    put(all, "TILE_WARPS", TILE_WARPS);
    put(all, "TILE_KEYS", TILE_KEYS);
    put(all, "WIDE_KEYS", WIDE_KEYS);
    put(all, "WIDE_STAGES", WIDE_STAGES);
    put(all, "CLUSTER_TOKENS", CLUSTER_TOKENS);
    put(all, "CLUSTER_TILE", CLUSTER_TILE);
    put(all, "CLUSTER_LANES", CLUSTER_LANES);
    put(all, "CLUSTER_DEPTH", CLUSTER_DEPTH);
    put(all, "CLUSTER_THREADS", CLUSTER_THREADS);
    put(all, "CLUSTER_GROUP", ClusterFormat.GROUP);
    put(all, "MOST_COUNTED", ClusterFormat.MOST_COUNTED);
    put(all, "STEP_SHIFT", ClusterFormat.STEP_SHIFT);
    put(all, "STEP_BIAS", ClusterFormat.STEP_BIAS);
    all.put("ELEMENT_STEPS", ClusterFormat.STEPS + "f");
    put(all, "LARGEST_ELEMENT", ClusterFormat.LARGEST);
    put(all, "ESTIMATE_TILE", ESTIMATE_TILE);
    put(all, "ATTEND_DENSE", ATTEND_DENSE);
    put(all, "ATTEND_HITS", ATTEND_HITS);
    put(all, "ATTEND_MISSES", ATTEND_MISSES);
    put(all, "ATTEND_REST", ATTEND_REST);
    put(all, "PACKED_ROWS", WeightFormat.TILE_ROWS);
    put(all, "PACKED_BLOCK", WeightFormat.BLOCK);
    put(all, "PACKED_SLICES", PACKED_SLICES);
    put(all, "PACKED_WARPS", PACKED_WARPS);
    put(all, "WIDEN_WARPS", WIDEN_WARPS);
    put(all, "WIDEN_BLOCKS", WIDEN_BLOCKS);
    put(all, "TROUBLE_TOKEN", TROUBLE_TOKEN);
    put(all, "TROUBLE_FRAME", TROUBLE_FRAME);
    put(all, "MAIL_COUNT", Mailbox.COUNT);
    put(all, "MAIL_ROUND", Mailbox.ROUND);
    put(all, "MAIL_STOPPED", Mailbox.STOPPED);
    put(all, "MAIL_SERVED", Mailbox.SERVED);
    put(all, "MAIL_REQUESTS_AT", Mailbox.REQUESTS_AT);
    put(all, "MAIL_REQUEST_WORDS", Mailbox.REQUEST_WORDS);
    put(all, "MAIL_DELIVERED", Mailbox.DELIVERED);
    put(all, "AGE_CLASSES", LayerReuse.CLASSES);
    put(all, "AGE_NEVER", LayerReuse.NEVER);
    put(all, "COUNTERS", Selection.COUNTERS);
    put(all, "HITS_COUNTER", Selection.HITS_COUNTER);
    put(all, "DRAM_COUNTER", Selection.DRAM_COUNTER);
    put(all, "NVME_COUNTER", Selection.NVME_COUNTER);
    put(all, "FAULT_COUNTER", Selection.FAULT_COUNTER);
    put(all, "PREFETCHED_COUNTER", Selection.PREFETCHED_COUNTER);
    return all;
  }

  private static void put(Map<String, String> all, String name, int value) {
    all.put(name, Integer.toString(value));
  }
}
