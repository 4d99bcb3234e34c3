package dev.kvdrive.model;

import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.ModelGeometry;
import java.util.List;

/**
 * An open model file: specification and mapped weights. Thread-safe for reading. Closing unmaps the
 * weights; no device that still reads them in place may be in use then.
 */
public interface Model extends AutoCloseable {
  /** Architecture facts. */
  TransformerSpec spec();

  /** Token embedding, {@code [vocabulary][hidden]}. */
  TensorData embedding();

  /** RMS norm before the output projection, {@code [hidden]}. */
  TensorData outputNorm();

  /** Output projection, {@code [vocabulary][hidden]}; the embedding itself where they are tied. */
  TensorData output();

  /** Weights by layer. */
  List<LayerTensors> layers();

  /** Sizes for the planner; {@code weightBytes} counts a tied output once. */
  ModelGeometry geometry();

  /** Where its tokenizer and chat template are. */
  TokenizerSource tokenizer();

  @Override
  void close();
}
