package dev.kvdrive.plan;

/** Kinds of device a plan can be for. */
public enum DeviceKind {
  /** The CPU backend: its GPU tier is an arena in host memory; activations are F32. */
  CPU(4, true),
  /** A CUDA GPU; activations are bf16. */
  CUDA(2, false);

  private final int activationBytes;
  private final boolean arenaInHostMemory;

  DeviceKind(int activationBytes, boolean arenaInHostMemory) {
    this.activationBytes = activationBytes;
    this.arenaInHostMemory = arenaInHostMemory;
  }

  /** Bytes of one activation element. */
  public int activationBytes() {
    return activationBytes;
  }

  /** Whether the GPU tier takes host memory, so that the pod's memory must hold it too. */
  public boolean arenaInHostMemory() {
    return arenaInHostMemory;
  }
}
