package dev.kvdrive.device;

import dev.kvdrive.device.ReferenceDevice.ReferenceWeight;
import dev.kvdrive.model.tensor.RopeSpec;

/** Projections and pointwise work as their contract says them. */
final class ReferenceTensor extends ReferenceMemory implements TensorOperations {
  ReferenceTensor(ElementType activations) {
    super(activations);
  }

  @Override
  public void embed(Queue queue, Embed a) {
    Activations out = require(a.out());
    DeviceBuffer tokens = a.tokens();
    float factor = a.factor();
    int rows = a.rows();
    ReferenceWeight weight = (ReferenceWeight) a.table();
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            int token = intAt(tokens, row);
            if (token >= weight.rows()) {
              throw new DeviceException(
                  "token %d is not in %s of %d rows"
                      .formatted(token, weight.name(), weight.rows()));
            }
            for (int i = 0; i < weight.cols(); i++) {
              float value = token < 0 ? 0 : weight.values()[token * weight.cols() + i];
              set(out, row, i, (double) factor * value);
            }
          }
        });
  }

  @Override
  public void rmsNorm(Queue queue, RmsNorm a) {
    Activations in = require(a.in());
    Activations out = require(a.out());
    Weight gain = a.gain();
    float epsilon = a.epsilon();
    int rows = a.rows();
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            norm(in, row, 0, values(gain), epsilon, out);
          }
        });
  }

  @Override
  public void headNorm(Queue queue, HeadNorm a) {
    Activations x = require(a.x());
    Weight gain = a.gain();
    float epsilon = a.epsilon();
    int rows = a.rows();
    int heads = a.heads();
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            for (int head = 0; head < heads; head++) {
              norm(x, row, head * gain.cols(), values(gain), epsilon, x);
            }
          }
        });
  }

  @Override
  public void matmul(Queue queue, Product a) {
    Activations in = require(a.in());
    Activations out = require(a.out());
    Weight weight = a.weight();
    int rows = a.rows();
    submit(
        queue,
        () -> multiply((ReferenceWeight) weight, in, rows, (row, o, sum) -> set(out, row, o, sum)));
  }

  @Override
  public void matmulAdd(Queue queue, Product a) {
    Activations in = require(a.in());
    Activations out = require(a.out());
    Weight weight = a.weight();
    int rows = a.rows();
    submit(
        queue,
        () ->
            multiply(
                (ReferenceWeight) weight,
                in,
                rows,
                (row, o, sum) -> set(out, row, o, get(out, row, o) + (float) sum)));
  }

  @Override
  public void logits(Queue queue, Product a) {
    Activations in = require(a.in());
    Activations out = a.out();
    Weight weight = a.weight();
    int rows = a.rows();
    submit(
        queue,
        () ->
            multiply(
                (ReferenceWeight) weight,
                in,
                rows,
                (row, o, sum) -> setFloat(out.buffer(), at(out, row, o), (float) sum)));
  }

  @Override
  public void addBias(Queue queue, Bias a) {
    Activations x = require(a.x());
    Weight bias = a.bias();
    int rows = a.rows();
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            for (int i = 0; i < bias.cols(); i++) {
              set(x, row, i, get(x, row, i) + values(bias)[i]);
            }
          }
        });
  }

  @Override
  public void add(Queue queue, Sum a) {
    Activations x = require(a.x());
    Activations out = require(a.out());
    int rows = a.rows();
    int width = a.width();
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            for (int i = 0; i < width; i++) {
              set(out, row, i, get(out, row, i) + get(x, row, i));
            }
          }
        });
  }

  @Override
  public void angles(Queue queue, Angles a) {
    RopeSpec spec = a.spec();
    DeviceBuffer positions = a.positions();
    DeviceBuffer out = a.out();
    int rows = a.rows();
    submit(
        queue,
        () -> {
          int pairs = spec.inverseFrequencies().length;
          for (int row = 0; row < rows; row++) {
            double magnitude = spec.magnitudeAt(intAt(positions, row));
            for (int i = 0; i < pairs; i++) {
              double angle = (double) intAt(positions, row) * spec.inverseFrequencies()[i];
              long at = 2L * (row * pairs + i);
              setFloat(out, at, (float) (Math.cos(angle) * magnitude));
              setFloat(out, at + 1, (float) (Math.sin(angle) * magnitude));
            }
          }
        });
  }

  @Override
  public void rotate(Queue queue, Rotation r) {
    RopeSpec spec = r.spec();
    DeviceBuffer angles = r.angles();
    Activations x = r.x();
    int rows = r.rows();
    int heads = r.heads();
    int headDim = r.headDim();
    submit(
        queue,
        () -> {
          int pairs = spec.inverseFrequencies().length;
          for (int row = 0; row < rows; row++) {
            for (int head = 0; head < heads; head++) {
              for (int i = 0; i < pairs; i++) {
                int first = head * headDim + (spec.interleaved() ? 2 * i : i);
                int second = spec.interleaved() ? first + 1 : first + pairs;
                double cos = floatAt(angles, 2L * (row * pairs + i));
                double sin = floatAt(angles, 2L * (row * pairs + i) + 1);
                double a = get(x, row, first);
                double b = get(x, row, second);
                set(x, row, first, a * cos - b * sin);
                set(x, row, second, b * cos + a * sin);
              }
            }
          }
        });
  }

  @Override
  public void siluMultiply(Queue queue, Gating a) {
    Activations gate = require(a.gate());
    Activations up = require(a.up());
    Activations out = require(a.out());
    int rows = a.rows();
    int width = a.width();
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            for (int i = 0; i < width; i++) {
              double g = get(gate, row, i);
              set(out, row, i, g / (1 + Math.exp(-g)) * get(up, row, i));
            }
          }
        });
  }

  @Override
  public void choose(Queue queue, Choice c) {
    Activations logits = c.logits();
    DeviceBuffer sampling = c.sampling();
    DeviceBuffer out = c.out();
    int rows = c.rows();
    int width = c.width();
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            float[] x = new float[width];
            for (int i = 0; i < width; i++) {
              x[i] = logit(logits, row, i);
            }
            setInt(out, row, TokenChoice.of(x, words(sampling, row)).token());
          }
        });
  }

  private static int[] words(DeviceBuffer sampling, int row) {
    int[] words = new int[RowSampling.BYTES / 4];
    for (int i = 0; i < words.length; i++) {
      words[i] = intAt(sampling, (long) words.length * row + i);
    }
    return words;
  }

  private void norm(
      Activations in, int row, int from, float[] gain, float epsilon, Activations out) {
    double sum = 0;
    for (int i = 0; i < gain.length; i++) {
      double value = get(in, row, from + i);
      sum += value * value;
    }
    double factor = 1 / Math.sqrt(sum / gain.length + epsilon);
    for (int i = 0; i < gain.length; i++) {
      set(out, row, from + i, get(in, row, from + i) * factor * gain[i]);
    }
  }

  /** Where a product goes. */
  private interface Store {
    void put(int row, int output, double sum);
  }

  private void multiply(ReferenceWeight weight, Activations in, int rows, Store store) {
    float[] x = new float[weight.cols()];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < x.length; i++) {
        x[i] = get(in, row, i);
      }
      for (int o = 0; o < weight.rows(); o++) {
        double sum = 0;
        int at = o * x.length;
        for (int i = 0; i < x.length; i++) {
          sum += (double) weight.values()[at + i] * x[i];
        }
        store.put(row, o, sum);
      }
    }
  }

  /** Logits are F32 on every device. */
  private static float logit(Activations logits, int row, int i) {
    return floatAt(logits.buffer(), at(logits, row, i));
  }

  private static float[] values(Weight weight) {
    return ((ReferenceWeight) weight).values();
  }
}
