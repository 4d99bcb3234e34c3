package dev.kvdrive.device;

import static dev.kvdrive.device.Checks.check;
import static dev.kvdrive.device.Checks.view;

/** Attention of a decode step, part by part into one running softmax, and of a prompt. */
public interface AttentionOperations {
  /** Starts the attention of a step: clears the state and attends sink and local tokens. */
  record Begin(LayerStep step, AttentionShape shape, Activations query, AttentionState state) {
    public Begin {
      check(step.layer(), shape);
      check(step.batch(), step.layer(), shape, state);
      view("query", query, step.batch().rows(), shape.heads() * shape.headDim());
    }
  }

  /** Attends the hits, or the misses, of a pass. */
  record Attend(Pass of, AttentionShape shape, Activations query, AttentionState state) {
    public Attend {
      check(of.layer(), shape);
      check(of.batch(), of.layer(), shape, state);
      check(of.selection(), state);
      view("query", query, of.batch().rows(), shape.heads() * shape.headDim());
    }
  }

  /**
   * Attends clusters of tokens in place of what is not attended, behind {@link Begin} and the
   * selection. Of each cluster of a (row, KV head) the tokens of selected chunks are taken off;
   * with {@code n} tokens left it counts as one token with the score {@code scale * q.c + log(n)},
   * where {@code c} is the centroid, and the cluster's mean value. Without any left it counts as
   * nothing, so that where everything is selected this changes nothing.
   */
  record Estimate(
      LayerStep step,
      AttentionShape shape,
      Activations query,
      Selection selection,
      AttentionState state) {
    public Estimate {
      Checks.checkClustersOfTokens(step.layer());
      check(step.layer(), shape);
      check(step.batch(), step.layer(), selection);
      check(step.batch(), step.layer(), shape, state);
      view("query", query, step.batch().rows(), shape.heads() * shape.headDim());
    }
  }

  /** Writes the attention output {@code [rows][heads*headDim]}. */
  record Finish(LayerStep step, AttentionShape shape, AttentionState state, Activations out) {
    public Finish {
      check(step.layer(), shape);
      check(step.batch(), step.layer(), shape, state);
      view("out", out, step.batch().rows(), shape.heads() * shape.headDim());
    }
  }

  /**
   * Causal dense attention of the queries of tokens {@code [start, start+rows)} over the tokens
   * before and including each, from the scratch. The result does not depend on how a prompt is cut
   * into blocks.
   */
  record Causal(
      KvLayer layer,
      AttentionShape shape,
      PrefillScratch scratch,
      Activations query,
      int start,
      int rows,
      Activations out) {
    public Causal {
      check(layer);
      check(layer, shape);
      check(layer.layout(), scratch, start, rows);
      int width = shape.heads() * shape.headDim();
      view("query", query, rows, width);
      view("out", out, rows, width);
    }
  }

  /** See {@link Begin}. */
  void begin(Queue queue, Begin begin);

  /** See {@link Estimate}. */
  void estimate(Queue queue, Estimate estimate);

  /** Attends the hits of a pass; may run before its misses have been fetched. */
  void hits(Queue queue, Attend attend);

  /** Attends the misses of a pass, which have landed, and merges the pass into the state. */
  void misses(Queue queue, Attend attend);

  /** See {@link Finish}. */
  void finish(Queue queue, Finish finish);

  /** See {@link Causal}. */
  void causal(Queue queue, Causal causal);
}
