package dev.kvdrive.plan;

import java.util.Locale;

/** Kinds of device a plan can be for. */
public enum DeviceKind {
  /**
   * The CPU backend: its GPU tier is an arena in host memory; activations are F32, weights are held
   * as they are stored.
   */
  CPU(4, true, 1, "as they are stored"),
  /**
   * A CUDA GPU; activations are bf16, matrices are held in bf16 and vectors in F32 whatever they
   * are stored in, and host buffers are whole pages.
   */
  CUDA(2, false, 4096, "matrices in bf16, vectors in F32");

  private final int activationBytes;
  private final boolean arenaInHostMemory;
  private final int hostGranule;
  private final String weights;

  DeviceKind(int activationBytes, boolean arenaInHostMemory, int hostGranule, String weights) {
    this.activationBytes = activationBytes;
    this.arenaInHostMemory = arenaInHostMemory;
    this.hostGranule = hostGranule;
    this.weights = weights;
  }

  /** As in settings, options and reports. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** How weights are held, in words. */
  public String weights() {
    return weights;
  }

  /** Host buffers take multiples of this many bytes. */
  public int hostGranule() {
    return hostGranule;
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
