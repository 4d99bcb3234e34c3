package dev.kvdrive.device;

import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.LandmarkSummary;
import dev.kvdrive.plan.MeanSummary;
import dev.kvdrive.plan.MinMaxSummary;
import dev.kvdrive.plan.SummaryFormat;
import dev.kvdrive.plan.TwoBitSummary;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.function.IntToDoubleFunction;

/** A format of summaries as its record says it, one number after the other. */
interface ReferenceSummary {
  /**
   * Writes a chunk's keys to the summary at {@code at}.
   *
   * @param keys {@code [chunk][headDim]}, as stored
   * @param first whether the chunk begins the summary
   */
  void write(float[][] keys, boolean first, MemorySegment memory, long at);

  /** A query, scaled, as all products with it take it. */
  double[] turned(IntToDoubleFunction query, double scale);

  /**
   * What {@code IndexOperations.Score} calls {@code s(h,i)}, of the summary at {@code at} and a
   * {@link #turned} query.
   */
  double product(double[] turned, MemorySegment memory, long at);

  /** What all products of a query have in common and {@link #product} leaves out. */
  default double common(IntToDoubleFunction query, double scale) {
    return 0;
  }

  /** Times the norm of a query: at least the sum of the absolute terms of any product with it. */
  double norm(MemorySegment memory, long at);

  /**
   * Makes the summary at {@code to} one with the keys of that at {@code from}, in another order.
   */
  void reorder(byte[] source, int from, byte[] target, int to, int turn);

  static ReferenceSummary of(
      SummaryFormat format, KvLayout layout, int head, MemorySegment codebooks) {
    return switch (format) {
      case SummaryFormat.TwoBit() -> new TwoBit(TwoBitSummary.of(layout));
      case SummaryFormat.BitPlanes(int bits) -> {
        BitPlaneSummary planes = BitPlaneSummary.of(layout, bits);
        yield new BitPlanes(planes, codebooks, (long) head * planes.codebookBytes());
      }
      case SummaryFormat.Mean() -> new Mean(MeanSummary.of(layout));
      case SummaryFormat.Landmark() -> new Landmark(LandmarkSummary.of(layout));
      case SummaryFormat.MinMax() -> new MinMax(MinMaxSummary.of(layout));
      case SummaryFormat.None() -> throw new IllegalArgumentException("there is no summary");
    };
  }

  /** Two bits an element. */
  record TwoBit(TwoBitSummary format) implements ReferenceSummary {
    @Override
    public void write(float[][] keys, boolean first, MemorySegment memory, long at) {
      for (int t = 0; t < keys.length; t++) {
        write(keys[t], t, memory, at);
      }
    }

    private void write(float[] key, int token, MemorySegment memory, long at) {
      int block = format.rotationBlock();
      float[] rotated = key.clone();
      for (int h = 1; h < block; h *= 2) {
        for (int i = 0; i < key.length; i++) {
          if ((i & h) == 0) {
            float a = rotated[i];
            float b = rotated[i + h];
            rotated[i] = a + b;
            rotated[i + h] = a - b;
          }
        }
      }
      float largest = 0;
      for (float element : rotated) {
        largest = Math.max(largest, Math.abs(element));
      }
      float width = largest < TwoBitSummary.SMALLEST_KEY ? 0 : 0.375f * largest;
      int[] words = new int[format.codeBytes() / 4];
      for (int i = 0; i < 16 * words.length; i++) {
        float steps = i < key.length && width > 0 ? rotated[i] * (1 / width) : 0;
        words[i / 16] |= Math.clamp(2 + (int) Math.floor(steps), 0, 3) << (2 * (i % 16));
      }
      for (int word = 0; word < words.length; word++) {
        memory.set(
            ValueLayout.JAVA_INT_UNALIGNED,
            at + (long) token * format.codeBytes() + 4L * word,
            words[word]);
      }
      memory.set(
          ValueLayout.JAVA_SHORT_UNALIGNED,
          at + format.stepOffset() + 2L * token,
          Bfloat16.round(width / block));
    }

    /** What the summary at {@code at} holds of a token: a rotated key, a block times smaller. */
    double[] key(MemorySegment memory, long at, int token) {
      double step =
          Bfloat16.widen(
              memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + format.stepOffset() + 2L * token));
      double[] key = new double[format.headDim()];
      for (int i = 0; i < key.length; i++) {
        int word = whole(memory, at + (long) token * format.codeBytes(), i / 16);
        key[i] = (((word >> (2 * (i % 16))) & 3) - 1.5) * step;
      }
      return key;
    }

    /** An element of a rotated vector, by the definition of the transform. */
    static double rotated(int block, IntToDoubleFunction vector, int i) {
      double sum = 0;
      for (int j = i - i % block; j < i - i % block + block; j++) {
        sum +=
            Integer.bitCount(i & j & (block - 1)) % 2 == 0
                ? vector.applyAsDouble(j)
                : -vector.applyAsDouble(j);
      }
      return sum;
    }

    @Override
    public double[] turned(IntToDoubleFunction query, double scale) {
      double[] turned = new double[format.headDim()];
      Arrays.setAll(turned, i -> scale * rotated(format.rotationBlock(), query, i));
      return turned;
    }

    @Override
    public double product(double[] turned, MemorySegment memory, long at) {
      double[] ofTokens = new double[format.chunk()];
      Arrays.setAll(ofTokens, t -> dot(turned, key(memory, at, t)));
      return logSumExp(ofTokens);
    }

    @Override
    public double norm(MemorySegment memory, long at) {
      double most = 0;
      for (int t = 0; t < format.chunk(); t++) {
        most = Math.max(most, length(key(memory, at, t)));
      }
      return Math.sqrt(format.rotationBlock()) * most;
    }

    @Override
    public void reorder(byte[] source, int from, byte[] target, int to, int turn) {
      int codes = format.codeBytes();
      int steps = format.stepOffset();
      for (int t = 0; t < format.chunk(); t++) {
        int of = (t + turn) % format.chunk();
        System.arraycopy(source, from + of * codes, target, to + t * codes, codes);
        System.arraycopy(source, from + steps + 2 * of, target, to + steps + 2 * t, 2);
      }
    }
  }

  /**
   * Strings of signs.
   *
   * @param book where the KV head's codebook starts
   */
  record BitPlanes(BitPlaneSummary format, MemorySegment codebooks, long book)
      implements ReferenceSummary {
    @Override
    public void write(float[][] keys, boolean first, MemorySegment memory, long at) {
      for (int t = 0; t < keys.length; t++) {
        write(keys[t], t, memory, at);
      }
    }

    private void write(float[] key, int token, MemorySegment memory, long at) {
      float[] z = new float[key.length];
      for (int i = 0; i < z.length; i++) {
        for (int j = 0; j < key.length; j++) {
          float forward = real(codebooks, book + format.forwardOffset(), j * key.length + i);
          z[i] = Math.fma(forward, key[j] - real(codebooks, book, j), z[i]);
        }
      }
      int[] words = new int[format.words()];
      for (int bit = 0; bit < format.bits(); bit++) {
        int element = whole(codebooks, book + format.elementOffset(), bit);
        float coefficient = real(codebooks, book + format.coefficientOffset(), bit);
        if (z[element] >= 0) {
          words[bit / 32] |= 1 << (bit % 32);
          z[element] -= coefficient;
        } else {
          z[element] += coefficient;
        }
      }
      for (int word = 0; word < words.length; word++) {
        memory.set(
            ValueLayout.JAVA_INT_UNALIGNED, at + format.wordOffset(word, token), words[word]);
      }
    }

    /** What the summary at {@code at} holds of a token, but for what is the same for all keys. */
    private double[] key(MemorySegment memory, long at, int token) {
      double[] key = new double[format.headDim()];
      for (int bit = 0; bit < format.bits(); bit++) {
        int word = whole(memory, at + format.wordOffset(bit / 32, token), 0);
        double coefficient = real(codebooks, book + format.coefficientOffset(), bit);
        int element = whole(codebooks, book + format.elementOffset(), bit);
        key[element] += (word >> (bit % 32) & 1) != 0 ? coefficient : -coefficient;
      }
      return key;
    }

    @Override
    public double[] turned(IntToDoubleFunction query, double scale) {
      double[] turned = new double[format.headDim()];
      for (int i = 0; i < turned.length; i++) {
        for (int j = 0; j < turned.length; j++) {
          double backward = real(codebooks, book + format.backwardOffset(), j * turned.length + i);
          turned[i] += scale * backward * query.applyAsDouble(j);
        }
      }
      return turned;
    }

    @Override
    public double product(double[] turned, MemorySegment memory, long at) {
      double[] ofTokens = new double[format.chunk()];
      Arrays.setAll(ofTokens, t -> dot(turned, key(memory, at, t)));
      return logSumExp(ofTokens);
    }

    @Override
    public double common(IntToDoubleFunction query, double scale) {
      double sum = 0;
      for (int i = 0; i < format.headDim(); i++) {
        sum += scale * query.applyAsDouble(i) * real(codebooks, book, i);
      }
      return sum;
    }

    @Override
    public double norm(MemorySegment memory, long at) {
      double most = 0;
      for (int t = 0; t < format.chunk(); t++) {
        most = Math.max(most, length(key(memory, at, t)));
      }
      return most;
    }

    @Override
    public void reorder(byte[] source, int from, byte[] target, int to, int turn) {
      for (int t = 0; t < format.chunk(); t++) {
        int of = (t + turn) % format.chunk();
        for (int word = 0; word < format.words(); word++) {
          System.arraycopy(
              source,
              from + format.wordOffset(word, of),
              target,
              to + format.wordOffset(word, t),
              4);
        }
      }
    }
  }

  /** The mean. */
  record Mean(MeanSummary format) implements ReferenceSummary {
    @Override
    public void write(float[][] keys, boolean first, MemorySegment memory, long at) {
      float[] mean = mean(keys);
      for (int i = 0; i < mean.length; i++) {
        put(format.type(), memory, at, i, mean[i]);
      }
    }

    float[] mean(float[][] keys) {
      float[] mean = new float[format.headDim()];
      for (int i = 0; i < mean.length; i++) {
        for (float[] key : keys) {
          mean[i] += key[i];
        }
        mean[i] *= format.share();
      }
      return mean;
    }

    private double[] held(MemorySegment memory, long at) {
      double[] mean = new double[format.headDim()];
      Arrays.setAll(mean, i -> get(format.type(), memory, at, i));
      return mean;
    }

    @Override
    public double[] turned(IntToDoubleFunction query, double scale) {
      return scaled(format.headDim(), query, scale);
    }

    @Override
    public double product(double[] turned, MemorySegment memory, long at) {
      return dot(turned, held(memory, at));
    }

    @Override
    public double norm(MemorySegment memory, long at) {
      return length(held(memory, at));
    }

    @Override
    public void reorder(byte[] source, int from, byte[] target, int to, int turn) {
      System.arraycopy(source, from, target, to, format.bytes());
    }
  }

  /** The mean and the lowest cosine. */
  record Landmark(LandmarkSummary format, Mean mean) implements ReferenceSummary {
    Landmark(LandmarkSummary format) {
      this(format, new Mean(format.mean()));
    }

    @Override
    public void write(float[][] keys, boolean first, MemorySegment memory, long at) {
      mean.write(keys, first, memory, at);
      float[] m = mean.mean(keys);
      float lowest = 1;
      for (float[] key : keys) {
        float lengths = (float) Math.sqrt(fused(m, m)) * (float) Math.sqrt(fused(key, key));
        float cosine = lengths == 0 ? 1 : fused(m, key) / lengths;
        lowest = cosine < lowest ? cosine : lowest;
      }
      memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + format.cosineOffset(), lowest);
    }

    private static float fused(float[] a, float[] b) {
      float sum = 0;
      for (int i = 0; i < a.length; i++) {
        sum = Math.fma(a[i], b[i], sum);
      }
      return sum;
    }

    float cosine(MemorySegment memory, long at) {
      return real(memory, at + format.cosineOffset(), 0);
    }

    @Override
    public double[] turned(IntToDoubleFunction query, double scale) {
      return mean.turned(query, scale);
    }

    @Override
    public double product(double[] turned, MemorySegment memory, long at) {
      return mean.product(turned, memory, at);
    }

    @Override
    public double norm(MemorySegment memory, long at) {
      return mean.norm(memory, at);
    }

    @Override
    public void reorder(byte[] source, int from, byte[] target, int to, int turn) {
      System.arraycopy(source, from, target, to, format.bytes());
    }
  }

  /** Smallest and largest elements. */
  record MinMax(MinMaxSummary format) implements ReferenceSummary {
    @Override
    public void write(float[][] keys, boolean first, MemorySegment memory, long at) {
      long behind = at + format.largestOffset();
      for (int i = 0; i < format.headDim(); i++) {
        float smallest = first ? keys[0][i] : get(format.type(), memory, at, i);
        float largest = first ? keys[0][i] : get(format.type(), memory, behind, i);
        for (float[] key : keys) {
          smallest = key[i] < smallest ? key[i] : smallest;
          largest = key[i] > largest ? key[i] : largest;
        }
        put(format.type(), memory, at, i, smallest);
        put(format.type(), memory, behind, i, largest);
      }
    }

    @Override
    public double[] turned(IntToDoubleFunction query, double scale) {
      return scaled(format.headDim(), query, scale);
    }

    @Override
    public double product(double[] turned, MemorySegment memory, long at) {
      double sum = 0;
      for (int i = 0; i < format.headDim(); i++) {
        double smallest = get(format.type(), memory, at, i);
        double largest = get(format.type(), memory, at + format.largestOffset(), i);
        sum += Math.max(turned[i] * smallest, turned[i] * largest);
      }
      return sum;
    }

    @Override
    public double norm(MemorySegment memory, long at) {
      double[] most = new double[format.headDim()];
      Arrays.setAll(
          most,
          i ->
              Math.max(
                  Math.abs(get(format.type(), memory, at, i)),
                  Math.abs(get(format.type(), memory, at + format.largestOffset(), i))));
      return length(most);
    }

    @Override
    public void reorder(byte[] source, int from, byte[] target, int to, int turn) {
      System.arraycopy(source, from, target, to, format.bytes());
    }
  }

  private static double[] scaled(int count, IntToDoubleFunction query, double scale) {
    double[] scaled = new double[count];
    Arrays.setAll(scaled, i -> scale * query.applyAsDouble(i));
    return scaled;
  }

  private static float real(MemorySegment memory, long from, int index) {
    return memory.get(ValueLayout.JAVA_FLOAT_UNALIGNED, from + 4L * index);
  }

  private static int whole(MemorySegment memory, long from, int index) {
    return memory.get(ValueLayout.JAVA_INT_UNALIGNED, from + 4L * index);
  }

  private static float get(KvType type, MemorySegment memory, long from, int index) {
    return type == KvType.F32
        ? real(memory, from, index)
        : Bfloat16.widen(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, from + 2L * index));
  }

  private static void put(KvType type, MemorySegment memory, long from, int index, float value) {
    if (type == KvType.F32) {
      memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, from + 4L * index, value);
    } else {
      memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, from + 2L * index, Bfloat16.round(value));
    }
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static double length(double[] a) {
    return Math.sqrt(dot(a, a));
  }

  /** log(sum(exp(x))). */
  static double logSumExp(double[] x) {
    double max = Arrays.stream(x).max().orElseThrow();
    double sum = 0;
    for (double each : x) {
      sum += Math.exp(each - max);
    }
    return max + Math.log(sum);
  }
}
