package dev.kvdrive.device;

import dev.kvdrive.model.tensor.RopeSpec;

/**
 * Everything a model step consists of. Each call submits work to a queue; none reads anything back
 * to the host, so that a whole decode step can be recorded as a {@link Graph}.
 *
 * <p>Results are deterministic: the same inputs give the same bits whatever the number of threads,
 * the rows that happen to share a batch or a prefill block, and the split of a selection into hits,
 * misses and passes. The CPU backend guarantees that bit for bit; a backend that reorders sums says
 * so and stays within the error of reordering.
 *
 * <p>Calls check shapes and throw {@link IllegalArgumentException} before anything is submitted.
 */
public interface Operations {
  // --- projections and pointwise work: rows of activations ---

  /**
   * {@code out[r] = factor * table[tokens[r]]} for {@code rows} rows, rounded once; a token below 0
   * gives zeros.
   */
  void embed(
      Queue queue, Weight table, DeviceBuffer tokens, float factor, int rows, Activations out);

  /**
   * RMS norm of {@code rows} rows of {@code width} elements: {@code out = in / sqrt(mean(in^2) +
   * epsilon) * gain}. {@code in} and {@code out} may be the same view.
   */
  void rmsNorm(
      Queue queue,
      Activations in,
      Weight gain,
      float epsilon,
      int rows,
      int width,
      Activations out);

  /**
   * RMS norm of each head of each row on its own (Qwen3's q and k norms; as one head, OLMo 2's), in
   * place: {@code heads} heads of {@code gain.cols()} elements.
   */
  void headNorm(Queue queue, Activations x, Weight gain, float epsilon, int rows, int heads);

  /**
   * {@code out[r][o] = sum_i weight[o][i] * in[r][i]}. {@code in} and {@code out} do not overlap.
   */
  void matmul(Queue queue, Weight weight, Activations in, int rows, Activations out);

  /** Like {@link #matmul}, added to {@code out}: the residual connection. */
  void matmulAdd(Queue queue, Weight weight, Activations in, int rows, Activations out);

  /** Like {@link #matmul}, with F32 {@code out} on every device. */
  void logits(Queue queue, Weight weight, Activations in, int rows, Activations out);

  /** {@code x[r][i] += bias[i]} for {@code bias.cols()} elements. */
  void addBias(Queue queue, Weight bias, Activations x, int rows);

  /**
   * {@code out[r][i] += x[r][i]} for {@code width} elements of each row: the residual connection of
   * what was normed after its projection. The views do not overlap.
   */
  void add(Queue queue, Activations x, int rows, int width, Activations out);

  /**
   * Angles for {@link #rotate}: {@code out[r] = {cos_0, sin_0, cos_1, sin_1, ...}} in F32 of the
   * spec's pairs at {@code positions[r]}, {@link RopeSpec#magnitudeAt} applied. Computed in double,
   * rounded once.
   */
  void angles(Queue queue, RopeSpec spec, DeviceBuffer positions, int rows, DeviceBuffer out);

  /**
   * Rotates the first {@code spec.rotaryDim()} elements of each of {@code heads} heads in place.
   */
  void rotate(
      Queue queue,
      RopeSpec spec,
      DeviceBuffer angles,
      Activations x,
      int rows,
      int heads,
      int headDim);

  /** {@code out = silu(gate) * up} for {@code width} elements of each row; may be in place. */
  void siluMultiply(
      Queue queue, Activations gate, Activations up, int rows, int width, Activations out);

  /**
   * Index of the largest of {@code width} F32 logits of each row, the lowest index among equals,
   * into {@code out[r]}; -1 if any of them is NaN, for such a row has no largest.
   */
  void argmax(Queue queue, Activations logits, int rows, int width, DeviceBuffer out);

  // --- decode: one layer of a step, in this order ---

  /**
   * Writes the new keys and values {@code [rows][kvHeads*headDim]} into sink or ring. Where that
   * makes a chunk close, first moves the oldest chunk of the ring to its place in the DRAM frame of
   * its extent (which the host has provided) and its representative into the index.
   */
  void append(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      FramePool frames,
      Activations keys,
      Activations values);

  /**
   * Scores every closed chunk and selects the best {@code selectCounts[r]} of each (row, KV head).
   * With {@code s(h,c) = log sum_t exp(scale * q_h . k_t)} over the keys {@code k_t} that the
   * representative of chunk {@code c} stands for, the score of a chunk is the maximum over the
   * group's query heads of {@code s(h,c) - log sum_c' exp s(h,c')}: the largest share of attention
   * that the chunk has in any of them. Equal representatives have equal scores; equal scores: the
   * lower chunk first. The result is ascending. Where all closed chunks are selected the scores may
   * be left unwritten.
   */
  void select(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection);

  /**
   * Finds the slots of the chunks {@code [pass*passChunks, (pass+1)*passChunks)} of each selection.
   * Chunks in the window are hits; each miss is given an empty slot or that of the victim with the
   * lowest attention which this pass does not need (equal attention: the lower slot). Misses are
   * served in ascending order, empty slots first and from the lowest; the two maps are updated and
   * {@code attentionOfSlot} of a given slot becomes 0. Counts hits. A row without chunks in this
   * pass keeps its {@code slots} of the pass before and has no misses.
   */
  void diff(Queue queue, StepBatch batch, KvLayer layer, Selection selection, int pass);

  /**
   * Copies the misses that are in DRAM into their slots and counts them, and requests the others
   * through the mailbox, whose {@code COUNT} it sets; once the mailbox is stopped these become
   * faults instead. Sets {@code lastUse} of the extents asked for.
   */
  void fetch(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      Selection selection,
      int pass,
      FramePool frames,
      Mailbox mailbox);

  /**
   * Waits, at most {@code timeoutMillis}, until the requests of the last {@link #fetch} are served
   * and copies and counts the chunks into their slots. A chunk that failed or did not come is
   * counted as a fault of its row, taken out of the window maps, and its entry of {@code slots} is
   * -1: attention skips it. Nothing to do when the last fetch requested nothing or the mailbox was
   * stopped before.
   */
  void land(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      Selection selection,
      int pass,
      Mailbox mailbox,
      int timeoutMillis);

  /** Starts the attention of a step: clears the state and attends sink and local tokens. */
  void beginAttention(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      AttentionState state);

  /** Attends the hits of a pass; may run before {@link #fetch} has finished. */
  void attendHits(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int pass,
      AttentionState state);

  /** Attends the misses of a pass, which have landed, and merges the pass into the state. */
  void attendMisses(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int pass,
      AttentionState state);

  /**
   * Writes the attention output {@code [rows][heads*headDim]} and updates {@code attentionOfSlot}
   * of the window: the mass of the chunks of the last pass in which the row had chunks, the decayed
   * value for the others.
   */
  void finishAttention(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Selection selection,
      AttentionState state,
      Activations out);

  // --- prefill: one layer of a prompt, in query blocks ---

  /** Writes keys and values of prompt tokens {@code [start, start+rows)} to the scratch. */
  void store(
      Queue queue,
      KvLayer layer,
      PrefillScratch scratch,
      int start,
      int rows,
      Activations keys,
      Activations values);

  /**
   * Causal dense attention of the queries of tokens {@code [start, start+rows)} over the tokens
   * before and including each, from the scratch. The result does not depend on how a prompt is cut
   * into blocks.
   */
  void attendCausal(
      Queue queue,
      KvLayer layer,
      AttentionShape shape,
      PrefillScratch scratch,
      Activations query,
      int start,
      int rows,
      Activations out);

  /**
   * Writes closed chunks {@code [fromChunk, toChunk)} of the scratch to the DRAM frames of their
   * extents (which the host has provided) and their representatives to the index of {@code seat}.
   */
  void closeChunks(
      Queue queue,
      KvLayer layer,
      PrefillScratch scratch,
      int seat,
      int fromChunk,
      int toChunk,
      FramePool frames);

  /** Copies sink and ring of a prompt of {@code tokens} tokens from the scratch to {@code seat}. */
  void seed(Queue queue, KvLayer layer, PrefillScratch scratch, int seat, int tokens);

  /**
   * Empties the window and the maps of {@code seat}: what a new sequence finds. {@code lastUse}
   * becomes -1; {@code frameOfExtent} is the host's and stays.
   */
  void resetSeat(Queue queue, KvLayer layer, int seat);
}
