package dev.kvdrive.api.v1alpha1;

/** How what a runtime writes to its NVMe volume is encrypted. */
public enum NvmeEncryption {
  NONE,
  AES_GCM
}
