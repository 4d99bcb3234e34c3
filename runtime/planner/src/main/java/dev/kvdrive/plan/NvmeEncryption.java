package dev.kvdrive.plan;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** In which form extents are on NVMe. It changes neither their size nor what is computed. */
public enum NvmeEncryption {
  /** As they are in DRAM; a CRC32C in memory tells what was damaged. */
  NONE(Integer.BYTES),

  /**
   * Encrypted with AES-256 in GCM, each with a key of its own that is in memory alone, as is the
   * tag that tells what was damaged.
   */
  AES_GCM(NvmeEncryption.KEY_BYTES + NvmeEncryption.TAG_BYTES);

  /** Bytes of a key. */
  public static final int KEY_BYTES = 32;

  /** Bytes of a tag. */
  public static final int TAG_BYTES = 16;

  private final int proofBytes;

  NvmeEncryption(int proofBytes) {
    this.proofBytes = proofBytes;
  }

  /** As in settings, options and reports. */
  public String word() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * The one of that word.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static NvmeEncryption parse(String word) {
    return Arrays.stream(values())
        .filter(one -> one.word().equalsIgnoreCase(word))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "extents on NVMe are encrypted with %s, not with %s"
                        .formatted(
                            Arrays.stream(values())
                                .map(NvmeEncryption::word)
                                .collect(Collectors.joining(" or ")),
                            word)));
  }

  /** Whether what is on NVMe is of no use without what is in memory. */
  public boolean encrypts() {
    return this != NONE;
  }

  /** Bytes that memory has of each extent on NVMe, to check it by and to read it with. */
  public int proofBytes() {
    return proofBytes;
  }

  /** Of these, those that are outside of the Java heap, for so many extents: keys are. */
  public long keyTableBytes(long extents) {
    return encrypts() ? proofBytes * extents : 0;
  }
}
