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
 * A model of Llama-3-8B's shape with random bf16 weights and as many layers as are wanted. All
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

  SyntheticLlama(int layerCount, int maxContext) {
    MemorySegment block =
        arena.allocate((long) VOCABULARY * HIDDEN * Short.BYTES, CudaHostBuffer.PAGE_BYTES);
    fill(block, 0.02f, 1);
    MemorySegment ones = arena.allocate((long) HIDDEN * Float.BYTES, Float.BYTES);
    for (int i = 0; i < HIDDEN; i++) {
      ones.setAtIndex(ValueLayout.JAVA_FLOAT, i, 1f);
    }
    embedding = matrix(block, "embedding", VOCABULARY, HIDDEN);
    output = new TensorData("output", TensorType.BF16, VOCABULARY, HIDDEN, block);
    norm = new TensorData("norm", TensorType.F32, 1, HIDDEN, ones);
    int queryWidth = HEADS * HEAD_DIM;
    int keyWidth = KV_HEADS * HEAD_DIM;
    for (int layer = 0; layer < layerCount; layer++) {
      layers.add(
          new LayerTensors(
              norm,
              matrix(block, "query", queryWidth, HIDDEN),
              matrix(block, "key", keyWidth, HIDDEN),
              matrix(block, "value", keyWidth, HIDDEN),
              matrix(block, "attention output", HIDDEN, queryWidth),
              null,
              null,
              null,
              null,
              null,
              null,
              null,
              norm,
              matrix(block, "gate", FEED_FORWARD, HIDDEN),
              matrix(block, "up", FEED_FORWARD, HIDDEN),
              matrix(block, "down", HIDDEN, FEED_FORWARD),
              null));
    }
    float[] frequencies = new float[HEAD_DIM / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = (float) Math.pow(500_000, -2.0 * i / HEAD_DIM);
    }
    spec =
        new TransformerSpec(
            "llama",
            "random weights of Llama-3-8B's shape",
            new ModelShape(layerCount, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FEED_FORWARD, VOCABULARY),
            maxContext,
            1e-5f,
            (float) (1 / Math.sqrt(HEAD_DIM)),
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
        new ModelShape(spec.layers(), HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FEED_FORWARD, VOCABULARY),
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
