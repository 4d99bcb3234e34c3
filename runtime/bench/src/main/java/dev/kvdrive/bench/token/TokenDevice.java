package dev.kvdrive.bench.token;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.tensor.TensorData;
import java.util.List;

/** A device whose decode steps attend as a {@link TokenMethod} says. */
public final class TokenDevice implements Device {
  /** Host memory that it needs beyond what an engine has planned. */
  public static final long HOST_BYTES = 256L << 20;

  private final Device device;
  private final TokenAttention attention;
  private final Operations operations;

  /**
   * @param device computes with F32; closed with this one
   */
  public TokenDevice(Device device, TokenMethod method) {
    if (device.activationType() != ElementType.F32) {
      throw new IllegalArgumentException(
          "policy %s is computed on the host, beside the CPU device; leave --device out"
              .formatted(method.word()));
    }
    this.device = device;
    attention = new TokenAttention(method, device);
    Operations own = device.operations();
    operations =
        new Operations(
            own.tensor(),
            attention,
            method.speculates()
                ? SpeculatedQueries.of(own.index(), attention::scored)
                : own.index(),
            own.window(),
            attention);
  }

  @Override
  public Operations operations() {
    return operations;
  }

  @Override
  public String description() {
    return device.description();
  }

  @Override
  public ElementType activationType() {
    return device.activationType();
  }

  @Override
  public boolean bitExact() {
    return device.bitExact();
  }

  @Override
  public boolean prefersGraphs() {
    return false;
  }

  @Override
  public int recordedRows(int rows) {
    return rows;
  }

  @Override
  public boolean queuesOverlap() {
    return device.queuesOverlap();
  }

  @Override
  public long capacityBytes() {
    return device.capacityBytes();
  }

  @Override
  public long usedBytes() {
    return device.usedBytes();
  }

  @Override
  public long hostCapacityBytes() {
    return device.hostCapacityBytes();
  }

  @Override
  public long hostBytes() {
    return device.hostBytes();
  }

  @Override
  public DeviceBuffer allocate(String label, long bytes) {
    return device.allocate(label, bytes);
  }

  @Override
  public HostBuffer allocateHost(String label, long bytes) {
    return device.allocateHost(label, bytes);
  }

  @Override
  public Weight load(String name, List<TensorData> parts) {
    return device.load(name, parts);
  }

  @Override
  public Queue createQueue(String name) {
    return device.createQueue(name);
  }

  @Override
  public Event createEvent() {
    return device.createEvent();
  }

  @Override
  public void close() {
    attention.free();
    device.close();
  }
}
