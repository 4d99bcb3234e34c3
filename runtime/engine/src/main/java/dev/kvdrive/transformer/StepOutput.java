package dev.kvdrive.transformer;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.device.TensorOperations.Largest;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What the host gets to see of the logits: the most likely token of every row, and whole rows of
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
  private final DeviceBuffer likeliest;
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
    try {
      likeliest = device.allocate("likeliest tokens", 4L * rows);
    } catch (RuntimeException e) {
      host.close();
      throw e;
    }
  }

  /** Finds the likeliest token of the first {@code rows} rows of the logits and downloads it. */
  public void downloadLikeliest(Queue queue, int rows) {
    tensor.argmax(queue, new Largest(activations.logits(), rows, vocabulary, likeliest));
    queue.download(likeliest, 0, host, 0, 4L * rows);
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

  /** The likeliest token of a row, the lowest among equals; -1 if a logit is NaN. */
  public int likeliest(int row) {
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
    likeliest.close();
    host.close();
  }
}
