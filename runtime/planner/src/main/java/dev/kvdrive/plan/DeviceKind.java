package dev.kvdrive.plan;

import java.util.Locale;

/** Kinds of device a plan can be for. */
public enum DeviceKind {
  /**
   * The CPU backend: its GPU tier is an arena in host memory; activations are F32, weights are held
   * as they are stored.
   */
  CPU(4, true, "as they are stored", 384, 256, 0, false),
  /**
   * A CUDA GPU; activations are bf16, weights are held in a {@link WeightFormat}: matrices in Q8_0
   * and Q4_0 as they are stored, all others in bf16, vectors in F32.
   */
  CUDA(
      2,
      false,
      "matrices in Q8_0 and Q4_0 as stored, others in bf16, vectors in F32",
      8192,
      2048,
      768 * ByteSize.MIB,
      true);

  /** Host buffers take multiples of this many bytes, whatever the device. */
  public static final int HOST_PAGE = 4096;

  private final int activationBytes;
  private final boolean arenaInHostMemory;
  private final String weights;
  private final int denseTokens;
  private final int prefillBlock;
  private final long contextBytes;
  private final boolean int8Windows;

  DeviceKind(
      int activationBytes,
      boolean arenaInHostMemory,
      String weights,
      int denseTokens,
      int prefillBlock,
      long contextBytes,
      boolean int8Windows) {
    this.activationBytes = activationBytes;
    this.arenaInHostMemory = arenaInHostMemory;
    this.weights = weights;
    this.denseTokens = denseTokens;
    this.prefillBlock = prefillBlock;
    this.contextBytes = contextBytes;
    this.int8Windows = int8Windows;
  }

  /** As in settings, options and reports. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * Whether chunks are in int8 in windows too, unless something else is asked for: twice as many
   * have room, and steps were faster.
   */
  public boolean int8Windows() {
    return int8Windows;
  }

  /** How weights are held, in words. */
  public String weights() {
    return weights;
  }

  /**
   * Tokens up to which a sequence is decoded faster by attending everything than by choosing, as
   * measured (docs/results/dense.md); 0 where choosing pays from the first chunk on.
   */
  public int denseTokens() {
    return denseTokens;
  }

  /**
   * Prompt tokens of a prefill block, unless the context is shorter: enough to keep the device
   * busy, few enough that a layer of a block does not hold up decode steps.
   */
  public int prefillBlock() {
    return prefillBlock;
  }

  /**
   * Bytes of its memory that it takes to be there at all: the driver's context with all kernels
   * that may be loaded into it; 0 where there is nothing of the kind. Beside it {@link
   * Workspace#deviceBytes}.
   */
  public long contextBytes() {
    return contextBytes;
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
