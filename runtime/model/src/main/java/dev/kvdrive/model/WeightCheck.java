package dev.kvdrive.model;

import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * Looks for weights that are not numbers. In quantized types only the scales of a block can be
 * infinite or not a number, so only they are read: 1 to 4 bytes of every 17 to 210.
 */
final class WeightCheck {
  /** A tensor up to this size is checked whole even in a sample. */
  private static final long SAMPLE_BYTES = 512 << 10;

  private static final int RUNS = 16;

  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Above it the exponent of an MXFP4 block makes its largest value infinite. */
  private static final int MXFP4_EXPONENT = 252;

  private WeightCheck() {}

  static void run(Path source, Model model, ModelLoader.Verification verification) {
    if (verification == ModelLoader.Verification.NONE) {
      return;
    }
    boolean full = verification == ModelLoader.Verification.FULL;
    Stream.concat(
            Stream.of(model.embedding(), model.outputNorm(), model.output()),
            model.layers().stream().flatMap(LayerTensors::all))
        .distinct()
        .forEach(t -> check(source, t, full));
  }

  private static void check(Path source, TensorData t, boolean full) {
    int blockBytes = t.type().blockBytes();
    long blocks = t.bytes() / blockBytes;
    if (full || t.bytes() <= SAMPLE_BYTES) {
      check(source, t, 0, blocks);
      return;
    }
    long run = SAMPLE_BYTES / RUNS / blockBytes;
    for (int i = 0; i < RUNS; i++) {
      long first = (blocks - run) * i / (RUNS - 1);
      check(source, t, first, first + run);
    }
  }

  private static void check(Path source, TensorData t, long fromBlock, long toBlock) {
    TensorType type = t.type();
    MemorySegment data = t.data();
    int step = type.blockBytes();
    long end = toBlock * step;
    long bad = -1;
    switch (type) {
      case F32 -> {
        for (long at = fromBlock * step; at < end && bad < 0; at += step) {
          bad = (data.get(INT, at) & 0x7f800000) == 0x7f800000 ? at : -1;
        }
      }
      case BF16 -> {
        for (long at = fromBlock * step; at < end && bad < 0; at += step) {
          bad = (data.get(SHORT, at) & 0x7f80) == 0x7f80 ? at : -1;
        }
      }
      case F16, Q8_0, Q4_0, Q5_0, IQ4_NL, IQ4_XS ->
          bad = badHalf(data, fromBlock * step, end, step);
      case Q4_1, Q5_1, Q4_K, Q5_K -> {
        bad = badHalf(data, fromBlock * step, end, step);
        bad = bad < 0 ? badHalf(data, fromBlock * step + 2, end, step) : bad;
      }
      case Q6_K, Q3_K -> bad = badHalf(data, fromBlock * step + step - 2, end, step);
      case Q2_K -> {
        bad = badHalf(data, fromBlock * step + step - 4, end, step);
        bad = bad < 0 ? badHalf(data, fromBlock * step + step - 2, end, step) : bad;
      }
      case MXFP4 -> {
        for (long at = fromBlock * step; at < end && bad < 0; at += step) {
          bad = Byte.toUnsignedInt(data.get(ValueLayout.JAVA_BYTE, at)) > MXFP4_EXPONENT ? at : -1;
        }
      }
    }
    if (bad >= 0) {
      long block = bad / step;
      long perRow = t.cols() / type.blockElements();
      throw new ModelFormatException(
          source,
          "tensor %s has a weight that is not a finite number".formatted(t.name()),
          "row %d, block %d of type %s".formatted(block / perRow, block % perRow, type),
          "the file is damaged: get it again and compare its checksum");
    }
  }

  private static long badHalf(MemorySegment data, long from, long end, int step) {
    for (long at = from; at < end; at += step) {
      if ((data.get(SHORT, at) & 0x7c00) == 0x7c00) {
        return at;
      }
    }
    return -1;
  }
}
