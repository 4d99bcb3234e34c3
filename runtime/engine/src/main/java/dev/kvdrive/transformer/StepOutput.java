package dev.kvdrive.transformer;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.RowSampling;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.device.TensorOperations.Choice;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What the host gets to see of the logits: the token chosen from every row, and whole rows of
 * logits only where it asks for them. Readable after the queue was synchronised, until the next
 * download.
 */
public final class StepOutput implements AutoCloseable {
  private final TensorOperations tensor;
  private final ActivationBuffers activations;
  private final int rows;
  private final int stride;
  private final int vocabulary;
  private final float multiplier;
  private final DeviceBuffer chosen;
  private final DeviceBuffer greedy;
  private final HostBuffer host;
  private final long logitsAt;

  /**
   * @param rows rows of a step at most
   * @param vocabulary tokens that may be chosen: those the tokenizer knows; the model's output can
   *     be padded beyond them
   */
  public StepOutput(Device device, Transformer transformer, int rows, int vocabulary) {
    tensor = device.operations().tensor();
    activations = transformer.activations();
    stride = transformer.spec().vocabulary();
    multiplier = transformer.spec().multipliers().logits();
    this.rows = rows;
    this.vocabulary = vocabulary;
    logitsAt = 4L * rows;
    host = device.allocateHost("step output", logitsAt + 4L * rows * stride);
    DeviceBuffer tokens = null;
    try {
      tokens = device.allocate("chosen tokens", 4L * rows);
      greedy = device.allocate("sampling of the likeliest", (long) RowSampling.BYTES * rows);
    } catch (RuntimeException e) {
      if (tokens != null) {
        tokens.close();
      }
      host.close();
      throw e;
    }
    chosen = tokens;
  }

  /** Finds the likeliest token of the first {@code rows} rows of the logits and downloads it. */
  public void downloadLikeliest(Queue queue, int rows) {
    downloadChosen(queue, rows, greedy);
  }

  /**
   * Chooses a token from each of the first {@code rows} rows of the logits and downloads it.
   *
   * @param sampling how, as {@link RowSampling} lays it out
   */
  public void downloadChosen(Queue queue, int rows, DeviceBuffer sampling) {
    tensor.choose(queue, new Choice(activations.logits(), rows, vocabulary, sampling, chosen));
    queue.download(chosen, 0, host, 0, 4L * rows);
  }

  /** What the logits are multiplied by for the host; the device's are without. */
  public float multiplier() {
    return multiplier;
  }

  /** Downloads the logits of one row. */
  public void downloadLogits(Queue queue, int row) {
    queue.download(
        activations.logits().buffer(),
        4L * row * stride,
        host,
        logitsAt + 4L * row * stride,
        4L * vocabulary);
  }

  /** Tokens that may be chosen. */
  public int vocabulary() {
    return vocabulary;
  }

  /** The token chosen from a row; -1 if that needs a logit which is not a number. */
  public int chosen(int row) {
    return host.segment().getAtIndex(ValueLayout.JAVA_INT, row);
  }

  /** Copies the logits of a row to {@code target[0..vocabulary)}. */
  public void logits(int row, float[] target) {
    MemorySegment.copy(
        host.segment(),
        ValueLayout.JAVA_FLOAT,
        logitsAt + 4L * row * stride,
        target,
        0,
        vocabulary);
    if (multiplier != 1) {
      for (int i = 0; i < vocabulary; i++) {
        target[i] *= multiplier;
      }
    }
  }

  /** Rows it has room for. */
  public int rows() {
    return rows;
  }

  @Override
  public void close() {
    chosen.close();
    greedy.close();
    host.close();
  }
}
