package dev.kvdrive.device;

import static dev.kvdrive.device.Checks.positive;
import static dev.kvdrive.device.Checks.require;
import static dev.kvdrive.device.Checks.vector;
import static dev.kvdrive.device.Checks.view;
import static dev.kvdrive.device.Checks.words;

import dev.kvdrive.model.tensor.RopeSpec;

/** Projections and pointwise work on rows of activations. */
public interface TensorOperations {
  /**
   * {@code out[r] = factor * table[tokens[r]]} for {@code rows} rows, rounded once; a token below 0
   * gives zeros.
   */
  record Embed(Weight table, DeviceBuffer tokens, float factor, int rows, Activations out) {
    public Embed {
      words("tokens", tokens, rows);
      view("out", out, rows, table.cols());
      require(Float.isFinite(factor), "a table cannot be multiplied by %s", factor);
    }
  }

  /**
   * RMS norm of {@code rows} rows of {@code width} elements: {@code out = in / sqrt(mean(in^2) +
   * epsilon) * gain}. {@code in} and {@code out} may be the same view.
   */
  record RmsNorm(Activations in, Weight gain, float epsilon, int rows, int width, Activations out) {
    public RmsNorm {
      view("in", in, rows, width);
      view("out", out, rows, width);
      vector(gain, width);
    }
  }

  /**
   * RMS norm of each head of each row on its own (Qwen3's q and k norms; as one head, OLMo 2's), in
   * place: {@code heads} heads of {@code gain.cols()} elements.
   */
  record HeadNorm(Activations x, Weight gain, float epsilon, int rows, int heads) {
    public HeadNorm {
      vector(gain, gain.cols());
      view("x", x, rows, Math.multiplyExact(positive("heads", heads), gain.cols()));
    }
  }

  /**
   * {@code out[r][o] = sum_i weight[o][i] * in[r][i]}. {@code in} and {@code out} do not overlap.
   */
  record Product(Weight weight, Activations in, int rows, Activations out) {
    public Product {
      view("in", in, rows, weight.cols());
      view("out", out, rows, weight.rows());
    }
  }

  /** {@code x[r][i] += bias[i]} for {@code bias.cols()} elements. */
  record Bias(Weight bias, Activations x, int rows) {
    public Bias {
      vector(bias, bias.cols());
      view("x", x, rows, bias.cols());
    }
  }

  /**
   * {@code out[r][i] += x[r][i]} for {@code width} elements of each row: the residual connection of
   * what was normed after its projection. The views do not overlap.
   */
  record Sum(Activations x, int rows, int width, Activations out) {
    public Sum {
      view("x", x, rows, width);
      view("out", out, rows, width);
    }
  }

  /**
   * Angles for {@link Rotation}: {@code out[r] = {cos_0, sin_0, cos_1, sin_1, ...}} in F32 of the
   * spec's pairs at {@code positions[r]}, {@link RopeSpec#magnitudeAt} applied. Computed in double,
   * rounded once.
   */
  record Angles(RopeSpec spec, DeviceBuffer positions, int rows, DeviceBuffer out) {
    public Angles {
      words("positions", positions, rows);
      words("angles", out, (long) rows * spec.rotaryDim());
    }
  }

  /**
   * Rotates the first {@code spec.rotaryDim()} elements of each of {@code heads} heads in place.
   */
  record Rotation(
      RopeSpec spec, DeviceBuffer angles, Activations x, int rows, int heads, int headDim) {
    public Rotation {
      words("angles", angles, (long) rows * spec.rotaryDim());
      view("x", x, rows, Math.multiplyExact(positive("heads", heads), headDim));
      require(
          spec.rotaryDim() <= headDim,
          "%d rotated elements do not fit a head of %d",
          spec.rotaryDim(),
          headDim);
    }
  }

  /** {@code out = silu(gate) * up} for {@code width} elements of each row; may be in place. */
  record Gating(Activations gate, Activations up, int rows, int width, Activations out) {
    public Gating {
      view("gate", gate, rows, width);
      view("up", up, rows, width);
      view("out", out, rows, width);
    }
  }

  /**
   * A token of each row, chosen from its first {@code width} F32 logits as {@code sampling} says,
   * into {@code out[r]}. It is -1 where a logit is NaN, and where one is drawn and a logit is
   * infinite: from such a row nothing can be chosen.
   *
   * @param sampling a {@link RowSampling} for each row
   */
  record Choice(Activations logits, int rows, int width, DeviceBuffer sampling, DeviceBuffer out) {
    public Choice {
      require(logits.type() == ElementType.F32, "logits are F32, not %s", logits.type());
      view("logits", logits, rows, width);
      words("choose", sampling, (long) RowSampling.BYTES / Integer.BYTES * rows);
      words("choose", out, rows);
    }
  }

  /** See {@link Embed}. */
  void embed(Queue queue, Embed embed);

  /** See {@link RmsNorm}. */
  void rmsNorm(Queue queue, RmsNorm norm);

  /** See {@link HeadNorm}. */
  void headNorm(Queue queue, HeadNorm norm);

  /** See {@link Product}. */
  void matmul(Queue queue, Product product);

  /** A {@link Product} that is added to {@code out}: the residual connection. */
  void matmulAdd(Queue queue, Product product);

  /** A {@link Product} with F32 {@code out} on every device. */
  void logits(Queue queue, Product product);

  /** See {@link Bias}. */
  void addBias(Queue queue, Bias bias);

  /** See {@link Sum}. */
  void add(Queue queue, Sum sum);

  /** See {@link Angles}. */
  void angles(Queue queue, Angles angles);

  /** See {@link Rotation}. */
  void rotate(Queue queue, Rotation rotation);

  /** See {@link Gating}. */
  void siluMultiply(Queue queue, Gating gating);

  /** See {@link Choice}. */
  void choose(Queue queue, Choice choice);
}
