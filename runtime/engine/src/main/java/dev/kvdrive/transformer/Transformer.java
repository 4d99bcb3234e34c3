package dev.kvdrive.transformer;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.device.TensorOperations.Angles;
import dev.kvdrive.device.TensorOperations.Bias;
import dev.kvdrive.device.TensorOperations.Embed;
import dev.kvdrive.device.TensorOperations.Gating;
import dev.kvdrive.device.TensorOperations.HeadNorm;
import dev.kvdrive.device.TensorOperations.Product;
import dev.kvdrive.device.TensorOperations.RmsNorm;
import dev.kvdrive.device.TensorOperations.Rotation;
import dev.kvdrive.device.TensorOperations.Sum;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.LayerTensors;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.TransformerSpec;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.EngineSizes;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
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
 *
 * <p>Where a model multiplies what attention and MLP add to the residual stream, the stream is kept
 * divided by that multiplier, so that they add it as it is. A norm of the stream does not notice,
 * given an epsilon divided by its square; only the embedding is multiplied to begin with.
 */
public final class Transformer implements AutoCloseable {
  private final TransformerSpec spec;
  private final AttentionShape shape;
  private final TensorOperations tensor;
  private final List<Weight> loaded = new ArrayList<>();
  private final List<LayerWeights> layers = new ArrayList<>();
  private final Weight embedding;
  private final Weight outputNorm;
  private final Weight output;
  private final ActivationBuffers activations;
  private final float embeddingFactor;

  /** Epsilon of the norms of the residual stream. */
  private final float residualEpsilon;

  /** Rotation of keys; of queries too unless it grows. */
  private final RopeSpec keyRope;

  /** Positions of the rows, where rotations are computed in each layer. */
  private @Nullable DeviceBuffer positions;

  private Transformer(Device device, Model model, EngineSizes sizes, Runnable checkpoint) {
    spec = model.spec();
    shape = new AttentionShape(spec.heads(), spec.kvHeads(), spec.headDim(), spec.attentionScale());
    tensor = device.operations().tensor();
    TransformerSpec.Multipliers multipliers = spec.multipliers();
    embeddingFactor = multipliers.embedding() / multipliers.residual();
    residualEpsilon = spec.rmsEpsilon() / (multipliers.residual() * multipliers.residual());
    RopeSpec rope = spec.rope();
    keyRope =
        rope.growth() == null
            ? rope
            : new RopeSpec(rope.inverseFrequencies(), rope.magnitude(), rope.interleaved());
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
    tensor.embed(
        queue, new Embed(embedding, tokens, embeddingFactor, rows, activations.residual()));
  }

  /**
   * Computes the rotation angles of {@code int[rows]} positions, which all layers share. The
   * positions are to stay as they are for the layers that follow.
   */
  public void angles(Queue queue, DeviceBuffer positions, int rows) {
    this.positions = positions;
    if (spec.rope().growth() == null) {
      tensor.angles(queue, new Angles(keyRope, positions, rows, activations.angles()));
    }
  }

  /** Norm, projections, biases, head norms and rotation: query, key and value of the layer. */
  public void project(Queue queue, int layer, int rows) {
    LayerWeights w = layers.get(layer);
    ActivationBuffers a = activations;
    Activations in = normed(queue, w.attentionNorm(), a.residual(), a.normed(), rows);
    tensor.matmul(queue, new Product(w.queryKeyValue(), in, rows, a.queryKeyValue()));
    addBias(queue, w.queryBias(), a.query(), rows);
    addBias(queue, w.keyBias(), a.key(), rows);
    addBias(queue, w.valueBias(), a.value(), rows);
    headNorm(queue, w.queryNorm(), a.query(), rows, spec.heads());
    headNorm(queue, w.keyNorm(), a.key(), rows, spec.kvHeads());
    if (!spec.unrotatedLayers().contains(layer)) {
      rotate(queue, spec.rope(), a.query(), rows, spec.heads());
      rotate(queue, keyRope, a.key(), rows, spec.kvHeads());
    }
  }

  /** Output projection of the attention output of rows from {@code first}, into the residual. */
  public void addAttention(Queue queue, int layer, int first, int rows) {
    LayerWeights w = layers.get(layer);
    addProjection(queue, w.output(), activations.attended(), w.attentionPostNorm(), first, rows);
    addBias(queue, w.outputBias(), activations.residual().row(first), rows);
  }

  /** Norm and gated MLP of rows from {@code first}, into the residual. */
  public void addMlp(Queue queue, int layer, int first, int rows) {
    LayerWeights w = layers.get(layer);
    Activations residual = activations.residual().row(first);
    Activations gate = activations.gate().row(first);
    Activations up = activations.up().row(first);
    Activations in = normed(queue, w.mlpNorm(), residual, activations.normed().row(first), rows);
    tensor.matmul(queue, new Product(w.gateUp(), in, rows, gate));
    tensor.siluMultiply(queue, new Gating(gate, up, rows, spec.feedForward(), gate));
    addProjection(queue, w.down(), activations.gate(), w.mlpPostNorm(), first, rows);
  }

  /**
   * Final norm and output projection of residual rows from {@code first}, into the logits rows from
   * 0: before the model's multiplier of logits, which {@link StepOutput} applies to what it hands
   * out.
   */
  public void logits(Queue queue, int first, int rows) {
    ActivationBuffers a = activations;
    tensor.rmsNorm(
        queue,
        new RmsNorm(
            a.residual().row(first), outputNorm, residualEpsilon, rows, spec.hidden(), a.normed()));
    tensor.logits(queue, new Product(output, a.normed(), rows, a.logits()));
  }

  /** The norm of the residual stream in {@code out}, or the stream itself if there is no norm. */
  private Activations normed(
      Queue queue, @Nullable Weight gain, Activations residual, Activations out, int rows) {
    if (gain == null) {
      return residual;
    }
    tensor.rmsNorm(queue, new RmsNorm(residual, gain, residualEpsilon, rows, spec.hidden(), out));
    return out;
  }

  /** Projects rows from {@code first} and adds them, normed if so, to the residual stream. */
  private void addProjection(
      Queue queue, Weight weight, Activations in, @Nullable Weight gain, int first, int rows) {
    Activations residual = activations.residual().row(first);
    if (gain == null) {
      tensor.matmulAdd(queue, new Product(weight, in.row(first), rows, residual));
      return;
    }
    Activations out = activations.normed().row(first);
    tensor.matmul(queue, new Product(weight, in.row(first), rows, out));
    tensor.rmsNorm(queue, new RmsNorm(out, gain, spec.rmsEpsilon(), rows, spec.hidden(), out));
    tensor.add(queue, new Sum(out, rows, spec.hidden(), residual));
  }

  private void addBias(Queue queue, @Nullable Weight bias, Activations x, int rows) {
    if (bias != null) {
      tensor.addBias(queue, new Bias(bias, x, rows));
    }
  }

  private void headNorm(Queue queue, @Nullable Weight gain, Activations x, int rows, int heads) {
    if (gain != null) {
      int width = heads * spec.headDim();
      tensor.headNorm(queue, new HeadNorm(x, gain, spec.rmsEpsilon(), rows, width / gain.cols()));
    }
  }

  private void rotate(Queue queue, RopeSpec rope, Activations x, int rows, int heads) {
    if (spec.rope().growth() != null) {
      // Queries and keys turn alike but differ in magnitude: one buffer holds the one, then the
      // other, which costs two sines an element of a head and no memory.
      tensor.angles(
          queue, new Angles(rope, Objects.requireNonNull(positions), rows, activations.angles()));
    }
    tensor.rotate(queue, new Rotation(rope, activations.angles(), x, rows, heads, spec.headDim()));
  }

  @Override
  public void close() {
    activations.close();
    loaded.forEach(Weight::close);
  }
}
