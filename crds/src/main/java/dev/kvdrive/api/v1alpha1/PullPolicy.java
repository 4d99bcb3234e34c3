package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonProperty;

/** When the kubelet pulls the runtime image. */
public enum PullPolicy {
  @JsonProperty("Always")
  ALWAYS("Always"),
  @JsonProperty("IfNotPresent")
  IF_NOT_PRESENT("IfNotPresent"),
  @JsonProperty("Never")
  NEVER("Never");

  private final String text;

  PullPolicy(String text) {
    this.text = text;
  }

  /** The policy as Kubernetes writes it. */
  public String text() {
    return text;
  }
}
