package dev.kvdrive.api.v1alpha1;

/** Where the runtime computes. */
public enum Device {
  /** The processor; the GPU tier is a budgeted arena in the pod's memory. */
  CPU,
  /** A CUDA device; the GPU tier lies in its memory. */
  CUDA
}
