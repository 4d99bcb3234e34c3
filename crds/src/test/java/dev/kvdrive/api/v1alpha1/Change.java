package dev.kvdrive.api.v1alpha1;

/**
 * A difference from a release by which something that was stored, or a manifest or values that were
 * applied, could be refused, be read otherwise, or mean something else.
 *
 * @param path where, for instance {@code InferenceDeployment v1alpha1 spec.concurrency}
 * @param what what differs there: the keyword of the schema, or {@code field}
 * @param before what it was; {@code none} where there was nothing
 * @param after what it is; {@code none} where there is nothing any more
 */
record Change(String path, String what, String before, String after) {
  static final String NONE = "none";

  /** As it is acknowledged. */
  @Override
  public String toString() {
    return "%s: %s was %s and is %s".formatted(path, what, before, after);
  }
}
