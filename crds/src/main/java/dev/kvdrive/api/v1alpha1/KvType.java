package dev.kvdrive.api.v1alpha1;

/** Element type of cached keys and values. */
public enum KvType {
  BF16,
  F32
}
