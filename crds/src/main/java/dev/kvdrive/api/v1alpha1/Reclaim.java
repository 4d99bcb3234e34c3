package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonProperty;

/** How long an NVMe volume lives. */
public enum Reclaim {
  /** As long as its pod: a generic ephemeral volume. */
  @JsonProperty("Ephemeral")
  EPHEMERAL,
  /** As long as the InferenceDeployment: a claim that a StatefulSet keeps across restarts. */
  @JsonProperty("Retain")
  RETAIN
}
