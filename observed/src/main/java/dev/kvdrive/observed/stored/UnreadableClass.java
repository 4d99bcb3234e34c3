package dev.kvdrive.observed.stored;

import com.fasterxml.jackson.annotation.JsonProperty;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.Kind;
import io.fabric8.kubernetes.model.annotation.Plural;
import io.fabric8.kubernetes.model.annotation.Singular;
import io.fabric8.kubernetes.model.annotation.Version;

/** A stored class whose specification is not one; as {@link UnreadableDeployment}. */
@Group(InferenceDeployment.GROUP)
@Version(InferenceDeployment.VERSION)
@Kind("InferenceClass")
@Singular("inferenceclass")
@Plural("inferenceclasses")
public final class UnreadableClass extends InferenceClass {
  private static final long serialVersionUID = 1;

  @JsonProperty private String fault = "";

  UnreadableClass() {}

  UnreadableClass(String fault) {
    this.fault = fault;
  }

  /** What is wrong, naming every field. */
  public String fault() {
    return fault;
  }
}
