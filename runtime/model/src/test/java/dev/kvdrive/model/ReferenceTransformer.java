package dev.kvdrive.model;

import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.model.tensor.TensorData;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The forward pass of a transformer, plain and slow: double precision, dense attention, every
 * weight dequantised, nothing cached between calls. The oracle of the engine and its backends,
 * itself checked against logits of Hugging Face transformers.
 */
public final class ReferenceTransformer {
  private final Model model;

  public ReferenceTransformer(Model model) {
    this.model = model;
  }

  /** Logits {@code [tokens][vocabulary]} after each token of a prompt. */
  public double[][] logits(int[] tokens) {
    double[][] x = new double[tokens.length][];
    for (int t = 0; t < tokens.length; t++) {
      x[t] = row(model.embedding(), tokens[t]);
      scale(x[t], model.spec().multipliers().embedding());
    }
    for (int i = 0; i < model.layers().size(); i++) {
      attention(x, model.layers().get(i), !model.spec().unrotatedLayers().contains(i));
      mlp(x, model.layers().get(i));
    }
    double[][] normed = rmsNorm(x, model.outputNorm());
    double[][] logits = multiply(normed, model.output(), null);
    for (double[] row : logits) {
      scale(row, model.spec().multipliers().logits());
    }
    return logits;
  }

  private void attention(double[][] x, LayerTensors w, boolean rotated) {
    TransformerSpec s = model.spec();
    double[][] in = rmsNorm(x, w.attentionNorm());
    double[][] q = multiply(in, w.query(), w.queryBias());
    double[][] k = multiply(in, w.key(), w.keyBias());
    double[][] v = multiply(in, w.value(), w.valueBias());
    for (int t = 0; t < x.length; t++) {
      normHeads(q[t], w.queryNorm());
      normHeads(k[t], w.keyNorm());
      if (rotated) {
        rotate(q[t], t, model.spec().rope().magnitudeAt(t));
        rotate(k[t], t, model.spec().rope().magnitude());
      }
    }
    int d = s.headDim();
    int group = s.heads() / s.kvHeads();
    double[][] mixed = new double[x.length][s.heads() * d];
    for (int t = 0; t < x.length; t++) {
      for (int h = 0; h < s.heads(); h++) {
        int kv = h / group * d;
        double[] p = new double[t + 1];
        for (int u = 0; u <= t; u++) {
          for (int i = 0; i < d; i++) {
            p[u] += q[t][h * d + i] * k[u][kv + i];
          }
          p[u] *= s.attentionScale();
        }
        softmax(p);
        for (int u = 0; u <= t; u++) {
          for (int i = 0; i < d; i++) {
            mixed[t][h * d + i] += p[u] * v[u][kv + i];
          }
        }
      }
    }
    add(x, rmsNorm(multiply(mixed, w.output(), w.outputBias()), w.attentionPostNorm()));
  }

  private void mlp(double[][] x, LayerTensors w) {
    double[][] in = rmsNorm(x, w.mlpNorm());
    double[][] gate = multiply(in, w.gate(), null);
    double[][] up = multiply(in, w.up(), null);
    for (int t = 0; t < x.length; t++) {
      for (int i = 0; i < gate[t].length; i++) {
        gate[t][i] = gate[t][i] / (1 + Math.exp(-gate[t][i])) * up[t][i];
      }
    }
    add(x, rmsNorm(multiply(gate, w.down(), null), w.mlpPostNorm()));
  }

  private double[][] rmsNorm(double[][] x, @Nullable TensorData weight) {
    if (weight == null) {
      return x;
    }
    double[] w = Dequantizer.doubles(weight);
    double[][] out = new double[x.length][];
    for (int t = 0; t < x.length; t++) {
      out[t] = x[t].clone();
      rmsNorm(out[t], 0, w);
    }
    return out;
  }

  private void normHeads(double[] heads, @Nullable TensorData weight) {
    if (weight != null) {
      double[] w = Dequantizer.doubles(weight);
      for (int from = 0; from < heads.length; from += w.length) {
        rmsNorm(heads, from, w);
      }
    }
  }

  private void rmsNorm(double[] x, int from, double[] w) {
    double sum = 0;
    for (int i = 0; i < w.length; i++) {
      sum += x[from + i] * x[from + i];
    }
    double scale = 1 / Math.sqrt(sum / w.length + model.spec().rmsEpsilon());
    for (int i = 0; i < w.length; i++) {
      x[from + i] *= scale * w[i];
    }
  }

  private void rotate(double[] heads, int position, double magnitude) {
    RopeSpec rope = model.spec().rope();
    float[] f = rope.inverseFrequencies();
    for (int head = 0; head < heads.length; head += model.spec().headDim()) {
      for (int i = 0; i < f.length; i++) {
        int a = head + (rope.interleaved() ? 2 * i : i);
        int b = head + (rope.interleaved() ? 2 * i + 1 : i + f.length);
        double cos = Math.cos(position * (double) f[i]) * magnitude;
        double sin = Math.sin(position * (double) f[i]) * magnitude;
        double first = heads[a];
        heads[a] = first * cos - heads[b] * sin;
        heads[b] = heads[b] * cos + first * sin;
      }
    }
  }

  private static double[][] multiply(double[][] x, TensorData matrix, @Nullable TensorData bias) {
    double[] b = bias == null ? null : Dequantizer.doubles(bias);
    double[][] out = new double[x.length][matrix.rows()];
    for (int r = 0; r < matrix.rows(); r++) {
      double[] w = row(matrix, r);
      for (int t = 0; t < x.length; t++) {
        double sum = b == null ? 0 : b[r];
        for (int c = 0; c < w.length; c++) {
          sum += w[c] * x[t][c];
        }
        out[t][r] = sum;
      }
    }
    return out;
  }

  private static double[] row(TensorData matrix, int row) {
    float[] out = new float[matrix.cols()];
    Dequantizer.row(matrix, row, out, 0);
    double[] wide = new double[out.length];
    Arrays.setAll(wide, i -> out[i]);
    return wide;
  }

  private static void softmax(double[] p) {
    double max = Arrays.stream(p).max().orElseThrow();
    double sum = 0;
    for (int i = 0; i < p.length; i++) {
      p[i] = Math.exp(p[i] - max);
      sum += p[i];
    }
    for (int i = 0; i < p.length; i++) {
      p[i] /= sum;
    }
  }

  private static void scale(double[] x, double factor) {
    for (int i = 0; i < x.length; i++) {
      x[i] *= factor;
    }
  }

  private void add(double[][] x, double[][] y) {
    for (int t = 0; t < x.length; t++) {
      for (int i = 0; i < y[t].length; i++) {
        x[t][i] += model.spec().multipliers().residual() * y[t][i];
      }
    }
  }
}
