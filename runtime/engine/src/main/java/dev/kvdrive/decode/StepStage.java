package dev.kvdrive.decode;

/** What a step does, in the order in which a layer does it. */
public enum StepStage {
  /** Embedding; norm, the stacked projections, rotation. */
  PROJECT,
  /** New keys and values go into the ring, closed chunks into their frames and the index. */
  APPEND,
  /** Summaries are scored and chunks chosen. */
  SELECT,
  /** Chosen chunks are looked up in the window; misses come from DRAM and NVMe. */
  FETCH,
  /** What is not chosen is estimated. */
  ESTIMATE,
  /** Attention to sink, ring, hits and misses. */
  ATTEND,
  /** Output projection, MLP. */
  MLP,
  /** Chunks are brought for the next layer. */
  PREFETCH,
  /** Logits, the choice of a token, the way to the host. */
  LOGITS
}
