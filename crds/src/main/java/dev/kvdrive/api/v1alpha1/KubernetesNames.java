package dev.kvdrive.api.v1alpha1;

/**
 * The forms that Kubernetes gives to names. What does not have them names nothing that could ever
 * be there, so the API server refuses it at apply instead of a pod waiting for it.
 */
public final class KubernetesNames {
  /** Of an object: a DNS subdomain. Its length is bounded beside it. */
  public static final String OBJECT =
      "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

  /** Of a namespace or a Service: a DNS label. Its length is bounded beside it. */
  public static final String LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

  /** Of a key in a Secret or ConfigMap, which becomes a file: neither . nor .. nor ..anything. */
  static final String KEY = "^([-_a-zA-Z0-9]|\\.[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$";

  private KubernetesNames() {}
}
