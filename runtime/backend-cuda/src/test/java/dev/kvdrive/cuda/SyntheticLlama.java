package dev.kvdrive.cuda;

import dev.kvdrive.device.Bfloat16;
import dev.kvdrive.model.LayerTensors;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.model.TransformerSpec;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.ModelShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * A model of a Llama's shape, Llama-3-8B's unless told otherwise, with random bf16 weights. All
 * matrices are views of one block of host memory; a device that copies weights has each of them on
 * its own.
 */
final class SyntheticLlama implements Model {
  static final int HIDDEN = 4096;
  static final int HEADS = 32;
  static final int KV_HEADS = 8;
  static final int HEAD_DIM = 128;
  static final int FEED_FORWARD = 14336;
  static final int VOCABULARY = 128256;
  private static final int PATTERN = 1 << 22;

  private final Arena arena = Arena.ofShared();
  private final TransformerSpec spec;
  private final TensorData embedding;
  private final TensorData output;
  private final TensorData norm;
  private final List<LayerTensors> layers = new ArrayList<>();

  /** Of Llama-3-8B's shape with so many layers. */
  SyntheticLlama(int layerCount, int maxContext) {
    this(llama8b(layerCount), maxContext);
  }

  static ModelShape llama8b(int layerCount) {
    return new ModelShape(layerCount, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FEED_FORWARD, VOCABULARY);
  }

  SyntheticLlama(ModelShape shape, int maxContext) {
    int hidden = shape.hidden();
    int headDim = shape.headDim();
    int widest =
        Math.max(Math.max(shape.vocabulary(), shape.feedForward()), shape.heads() * headDim);
    MemorySegment block =
        arena.allocate((long) widest * hidden * Short.BYTES, CudaHostBuffer.PAGE_BYTES);
    fill(block, 0.02f, 1);
    MemorySegment ones = arena.allocate((long) hidden * Float.BYTES, Float.BYTES);
    for (int i = 0; i < hidden; i++) {
      ones.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1f);
    }
    embedding = matrix(block, "embedding", shape.vocabulary(), hidden);
    output = matrix(block, "output", shape.vocabulary(), hidden);
    norm = new TensorData("norm", TensorType.F32, 1, hidden, ones);
    int queryWidth = shape.heads() * headDim;
    int keyWidth = shape.kvHeads() * headDim;
    for (int layer = 0; layer < shape.layers(); layer++) {
      layers.add(
          new LayerTensors(
              norm,
              matrix(block, "query", queryWidth, hidden),
              matrix(block, "key", keyWidth, hidden),
              matrix(block, "value", keyWidth, hidden),
              matrix(block, "attention output", hidden, queryWidth),
              null,
              null,
              null,
              null,
              null,
              null,
              null,
              norm,
              matrix(block, "gate", shape.feedForward(), hidden),
              matrix(block, "up", shape.feedForward(), hidden),
              matrix(block, "down", hidden, shape.feedForward()),
              null));
    }
    float[] frequencies = new float[headDim / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = (float) Math.pow(500_000, -2.0 * i / headDim);
    }
    spec =
        new TransformerSpec(
            "llama",
            "random weights",
            shape,
            maxContext,
            1e-5f,
            (float) (1 / Math.sqrt(headDim)),
            new RopeSpec(frequencies, 1, false));
  }

  private static TensorData matrix(MemorySegment block, String name, int rows, int cols) {
    return new TensorData(
        name, TensorType.BF16, rows, cols, block.asSlice(0, (long) rows * cols * Short.BYTES));
  }

  /** Fills memory with normally distributed bf16 values, the same ones after 4M of them. */
  static void fill(MemorySegment memory, float deviation, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    long pattern = Math.min((long) PATTERN * Short.BYTES, memory.byteSize());
    for (long i = 0; i < pattern / Short.BYTES; i++) {
      float value = deviation * (float) random.nextGaussian();
      memory.setAtIndex(ValueLayout.JAVA_SHORT, i, Bfloat16.round(value));
    }
    for (long at = pattern; at < memory.byteSize(); at += pattern) {
      MemorySegment.copy(memory, 0, memory, at, Math.min(pattern, memory.byteSize() - at));
    }
  }

  @Override
  public TransformerSpec spec() {
    return spec;
  }

  @Override
  public TensorData embedding() {
    return embedding;
  }

  @Override
  public TensorData outputNorm() {
    return norm;
  }

  @Override
  public TensorData output() {
    return output;
  }

  @Override
  public List<LayerTensors> layers() {
    return layers;
  }

  @Override
  public ModelGeometry geometry() {
    List<TensorData> all =
        Stream.concat(
                Stream.of(embedding, norm, output), layers.stream().flatMap(LayerTensors::all))
            .toList();
    return new ModelGeometry(
        spec.name(),
        spec.shape(),
        spec.maxContext(),
        all.stream().mapToLong(TensorData::bytes).sum(),
        elements(all.stream().filter(t -> t.rows() > 1)),
        elements(all.stream().filter(t -> t.rows() == 1)));
  }

  private static long elements(Stream<TensorData> tensors) {
    return tensors.mapToLong(t -> (long) t.rows() * t.cols()).sum();
  }

  @Override
  public TokenizerSource tokenizer() {
    return new TokenizerSource.Folder(Path.of("")); // token ids are made up, there is no text
  }

  @Override
  public void close() {
    arena.close();
  }
}
