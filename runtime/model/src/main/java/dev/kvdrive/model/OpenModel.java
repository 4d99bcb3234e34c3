package dev.kvdrive.model;

import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.ModelGeometry;
import java.lang.foreign.Arena;
import java.util.List;

/** A model whose mappings live in {@code arena}, which {@link #close} closes. */
record OpenModel(
    TransformerSpec spec,
    TensorData embedding,
    TensorData outputNorm,
    TensorData output,
    List<LayerTensors> layers,
    ModelGeometry geometry,
    TokenizerSource tokenizer,
    Arena arena)
    implements Model {
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
