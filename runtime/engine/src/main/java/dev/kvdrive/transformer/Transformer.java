package dev.kvdrive.transformer;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.LayerTensors;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.TransformerSpec;
import dev.kvdrive.plan.EngineSizes;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A model on a device: its weights, its activation buffers and the stages of a layer around
 * attention, in the order in which prefill and decode submit them:
 *
 * <pre>
 *   embed, angles -> for each layer: project -> (attention) -> addAttention -> addMlp -> logits
 * </pre>
 *
 * Every stage works on the first {@code rows} rows of the {@link ActivationBuffers} and only
 * submits to the queue. One prefill block or one decode step may be in progress at a time.
 */
public final class Transformer implements AutoCloseable {
  private final TransformerSpec spec;
  private final AttentionShape shape;
  private final Operations operations;
  private final List<Weight> loaded = new ArrayList<>();
  private final List<LayerWeights> layers = new ArrayList<>();
  private final Weight embedding;
  private final Weight outputNorm;
  private final Weight output;
  private final ActivationBuffers activations;

  private Transformer(Device device, Model model, EngineSizes sizes, Runnable checkpoint) {
    spec = model.spec();
    shape = new AttentionShape(spec.heads(), spec.kvHeads(), spec.headDim(), spec.attentionScale());
    operations = device.operations();
    try {
      embedding = LayerWeights.load(device, loaded, model.embedding());
      for (LayerTensors layer : model.layers()) {
        checkpoint.run();
        layers.add(LayerWeights.load(device, layer, loaded));
      }
      outputNorm = LayerWeights.load(device, loaded, model.outputNorm());
      output =
          model.output().equals(model.embedding())
              ? embedding
              : LayerWeights.load(device, loaded, model.output());
      activations = ActivationBuffers.allocate(device, spec, sizes);
    } catch (RuntimeException e) {
      loaded.forEach(Weight::close);
      throw e;
    }
  }

  /**
   * Loads the weights and allocates the activations.
   *
   * @throws dev.kvdrive.device.DeviceMemoryException if they do not fit; nothing stays allocated
   */
  public static Transformer load(Device device, Model model, EngineSizes sizes) {
    return load(device, model, sizes, () -> {});
  }

  /**
   * Like {@link #load(Device, Model, EngineSizes)}; can be given up on the way.
   *
   * @param checkpoint called before the weights of each layer; what it throws is thrown, and
   *     nothing stays allocated
   */
  public static Transformer load(
      Device device, Model model, EngineSizes sizes, Runnable checkpoint) {
    return new Transformer(device, model, sizes, checkpoint);
  }

  public TransformerSpec spec() {
    return spec;
  }

  /** Sizes of its attention. */
  public AttentionShape shape() {
    return shape;
  }

  public ActivationBuffers activations() {
    return activations;
  }

  /** Bytes that the weights count against the device's cap. */
  public long weightBytes() {
    return loaded.stream().mapToLong(Weight::bytes).sum();
  }

  /** Embeds {@code int[rows]} tokens into the residual stream. */
  public void embed(Queue queue, DeviceBuffer tokens, int rows) {
    operations.embed(queue, embedding, tokens, rows, activations.residual());
  }

  /** Computes the rotation angles of {@code int[rows]} positions, which all layers share. */
  public void angles(Queue queue, DeviceBuffer positions, int rows) {
    operations.angles(queue, spec.rope(), positions, rows, activations.angles());
  }

  /** Norm, projections, biases, head norms and rotation: query, key and value of the layer. */
  public void project(Queue queue, int layer, int rows) {
    LayerWeights w = layers.get(layer);
    ActivationBuffers a = activations;
    operations.rmsNorm(
        queue, a.residual(), w.attentionNorm(), spec.rmsEpsilon(), rows, spec.hidden(), a.normed());
    operations.matmul(queue, w.queryKeyValue(), a.normed(), rows, a.queryKeyValue());
    addBias(queue, w.queryBias(), a.query(), rows);
    addBias(queue, w.keyBias(), a.key(), rows);
    addBias(queue, w.valueBias(), a.value(), rows);
    headNorm(queue, w.queryNorm(), a.query(), rows, spec.heads());
    headNorm(queue, w.keyNorm(), a.key(), rows, spec.kvHeads());
    rotate(queue, a.query(), rows, spec.heads());
    rotate(queue, a.key(), rows, spec.kvHeads());
  }

  /** Output projection of the attention output of rows from {@code first}, into the residual. */
  public void addAttention(Queue queue, int layer, int first, int rows) {
    operations.matmulAdd(
        queue,
        layers.get(layer).output(),
        activations.attended().row(first),
        rows,
        activations.residual().row(first));
  }

  /** Norm and gated MLP of rows from {@code first}, into the residual. */
  public void addMlp(Queue queue, int layer, int first, int rows) {
    LayerWeights w = layers.get(layer);
    Activations residual = activations.residual().row(first);
    Activations normed = activations.normed().row(first);
    Activations gate = activations.gate().row(first);
    Activations up = activations.up().row(first);
    operations.rmsNorm(
        queue, residual, w.mlpNorm(), spec.rmsEpsilon(), rows, spec.hidden(), normed);
    operations.matmul(queue, w.gateUp(), normed, rows, gate);
    operations.siluMultiply(queue, gate, up, rows, spec.feedForward(), gate);
    operations.matmulAdd(queue, w.down(), gate, rows, residual);
  }

  /**
   * Final norm and output projection of residual rows from {@code first}, into the logits rows from
   * 0.
   */
  public void logits(Queue queue, int first, int rows) {
    ActivationBuffers a = activations;
    operations.rmsNorm(
        queue,
        a.residual().row(first),
        outputNorm,
        spec.rmsEpsilon(),
        rows,
        spec.hidden(),
        a.normed());
    operations.logits(queue, output, a.normed(), rows, a.logits());
  }

  private void addBias(Queue queue, @Nullable Weight bias, Activations x, int rows) {
    if (bias != null) {
      operations.addBias(queue, bias, x, rows);
    }
  }

  private void headNorm(Queue queue, @Nullable Weight gain, Activations x, int rows, int heads) {
    if (gain != null) {
      operations.headNorm(queue, x, gain, spec.rmsEpsilon(), rows, heads);
    }
  }

  private void rotate(Queue queue, Activations x, int rows, int heads) {
    operations.rotate(queue, spec.rope(), activations.angles(), x, rows, heads, spec.headDim());
  }

  @Override
  public void close() {
    activations.close();
    loaded.forEach(Weight::close);
  }
}
