package dev.kvdrive.observed.stored;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.Kind;
import io.fabric8.kubernetes.model.annotation.Plural;
import io.fabric8.kubernetes.model.annotation.Singular;
import io.fabric8.kubernetes.model.annotation.Version;

/**
 * A stored deployment whose specification is not one. It has metadata, where it can be read a
 * status, and no specification; what is wrong travels with it through caches and clones. Never
 * written.
 */
@Group(InferenceDeployment.GROUP)
@Version(InferenceDeployment.VERSION)
@Kind("InferenceDeployment")
@Singular("inferencedeployment")
@Plural("inferencedeployments")
public final class UnreadableDeployment extends InferenceDeployment {
  private static final long serialVersionUID = 1;

  @JsonProperty private String fault = "";

  UnreadableDeployment() {}

  UnreadableDeployment(String fault) {
    this.fault = fault;
  }

  /** What is wrong, naming every field. */
  public String fault() {
    return fault;
  }

  /** The same as a verdict, with the way out. */
  public String refusal() {
    return "What is stored is not a specification: %s. Correct it, or delete this resource."
        .formatted(fault);
  }
}
