package dev.kvdrive.transformer;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.model.TransformerSpec;
import dev.kvdrive.plan.EngineSizes;
import java.util.ArrayList;
import java.util.List;

/**
 * Activations of up to {@code rows} rows on a device, used by one step or one prefill block at a
 * time. Sizes are those of {@code Workspace.activationBytes} and {@code Workspace.logitsBytes}.
 */
public final class ActivationBuffers implements AutoCloseable {
  private final List<DeviceBuffer> buffers = new ArrayList<>();
  private final int rows;
  private final Activations residual;
  private final Activations normed;
  private final Activations queryKeyValue;
  private final Activations query;
  private final Activations key;
  private final Activations value;
  private final Activations attended;
  private final Activations gate;
  private final Activations up;
  private final Activations logits;
  private final DeviceBuffer angles;

  private ActivationBuffers(Device device, TransformerSpec spec, EngineSizes sizes) {
    rows = Math.max(sizes.concurrency(), sizes.prefillBlock());
    int queryWidth = spec.heads() * spec.headDim();
    int keyWidth = spec.kvHeads() * spec.headDim();
    residual = view(device, "residual stream", spec.hidden());
    normed = view(device, "normed activations", spec.hidden());
    queryKeyValue = view(device, "queries, keys, values", queryWidth + 2 * keyWidth);
    query = queryKeyValue;
    key = queryKeyValue.from(queryWidth);
    value = queryKeyValue.from(queryWidth + keyWidth);
    attended = view(device, "attention output", queryWidth);
    gate = view(device, "gate and up", 2 * spec.feedForward());
    up = gate.from(spec.feedForward());
    angles = allocate(device, "angles", 4L * rows * spec.headDim());
    logits =
        Activations.dense(
            allocate(device, "logits", 4L * sizes.concurrency() * spec.vocabulary()),
            ElementType.F32,
            spec.vocabulary());
  }

  /** Allocates all buffers, or none if they do not fit the device. */
  public static ActivationBuffers allocate(Device device, TransformerSpec spec, EngineSizes sizes) {
    return new ActivationBuffers(device, spec, sizes);
  }

  private Activations view(Device device, String label, int width) {
    return Activations.dense(
        allocate(device, label, (long) rows * width * device.activationType().bytes()),
        device.activationType(),
        width);
  }

  private DeviceBuffer allocate(Device device, String label, long bytes) {
    try {
      DeviceBuffer buffer = device.allocate(label, bytes);
      buffers.add(buffer);
      return buffer;
    } catch (RuntimeException e) {
      close();
      throw e;
    }
  }

  /** Rows it has room for. */
  public int rows() {
    return rows;
  }

  /** Residual stream, {@code [rows][hidden]}: input and output of every layer. */
  public Activations residual() {
    return residual;
  }

  /** Rotated queries of the current layer, {@code [rows][heads*headDim]}. */
  public Activations query() {
    return query;
  }

  /** Rotated keys of the current layer, {@code [rows][kvHeads*headDim]}. */
  public Activations key() {
    return key;
  }

  /** Values of the current layer, {@code [rows][kvHeads*headDim]}. */
  public Activations value() {
    return value;
  }

  /** Attention output of the current layer, {@code [rows][heads*headDim]}. */
  public Activations attended() {
    return attended;
  }

  /** F32 logits, {@code [concurrency][vocabulary]}. */
  public Activations logits() {
    return logits;
  }

  Activations normed() {
    return normed;
  }

  Activations queryKeyValue() {
    return queryKeyValue;
  }

  Activations gate() {
    return gate;
  }

  Activations up() {
    return up;
  }

  DeviceBuffer angles() {
    return angles;
  }

  @Override
  public void close() {
    buffers.forEach(DeviceBuffer::close);
  }
}
