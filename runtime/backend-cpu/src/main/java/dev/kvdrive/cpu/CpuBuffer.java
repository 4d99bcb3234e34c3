package dev.kvdrive.cpu;

import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceSlice;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.HostMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/** Memory of the arena that plays the GPU tier. */
final class CpuBuffer implements DeviceBuffer {
  private final String label;
  private final long bytes;
  private final Consumer<CpuBuffer> onClose;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment memory;
  private boolean open = true;

  /**
   * @param onClose called once
   */
  CpuBuffer(String label, long bytes, long alignment, Consumer<CpuBuffer> onClose) {
    this.label = label;
    this.bytes = bytes;
    this.onClose = onClose;
    memory = HostMemory.allocate(arena, bytes, alignment);
  }

  /**
   * Address of a buffer's memory, for as long as it is open.
   *
   * @throws DeviceException if it was closed, or is another device's
   */
  static long address(DeviceBuffer buffer) {
    if (buffer instanceof DeviceSlice slice) {
      return address(slice.whole()) + slice.offset();
    }
    if (!(buffer instanceof CpuBuffer cpu)) {
      throw new DeviceException(buffer.label() + " is not memory of the CPU device");
    }
    return cpu.memory().address();
  }

  /**
   * The memory.
   *
   * @throws DeviceException if it was closed
   */
  MemorySegment memory() {
    if (!memory.scope().isAlive()) {
      throw new DeviceException(label + " was used after it was closed");
    }
    return memory;
  }

  @Override
  public String label() {
    return label;
  }

  @Override
  public long bytes() {
    return bytes;
  }

  @Override
  public void close() {
    synchronized (this) {
      if (!open) {
        return;
      }
      open = false;
      arena.close();
    }
    onClose.accept(this);
  }

  /** Host memory, which on this device is no other memory. */
  record Host(CpuBuffer buffer) implements HostBuffer {
    @Override
    public String label() {
      return buffer.label();
    }

    @Override
    public MemorySegment segment() {
      return buffer.memory;
    }

    @Override
    public void close() {
      buffer.close();
    }
  }
}
