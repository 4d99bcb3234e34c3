package dev.kvdrive.api.v1alpha1;

/** What the elements of closed chunks are. */
public enum ChunkFormat {
  BF16,
  F32,
  INT8
}
