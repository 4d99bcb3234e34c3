package dev.kvdrive.observed;

/** By what names the runtime goes in a pod, among the containers and ports of others. */
public final class RuntimeContainer {
  public static final String NAME = "runtime";

  /** Port of health and metrics, which the kubelet and scrapers ask for without TLS. */
  public static final String PORT_NAME = "http";

  private RuntimeContainer() {}
}
