package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonProperty;

/** How pods are replaced when the specification changes. */
public enum Rollout {
  /** The new pod becomes ready before an old one goes: no gap, but room for one more pod. */
  @JsonProperty("Surge")
  SURGE,
  /** An old pod drains and goes before the new one starts: for devices that are all taken. */
  @JsonProperty("InPlace")
  IN_PLACE,
  /** Nothing is replaced while a request runs or waits, as far as a timeout allows. */
  @JsonProperty("WhenIdle")
  WHEN_IDLE
}
