package dev.kvdrive.cli.cluster;

import org.jspecify.annotations.Nullable;

/**
 * What is asked of the API server, in the words of its roles.
 *
 * @param verb get, list or create
 * @param group of the resource; empty for Kubernetes' core
 * @param resource plural, with a subresource after a slash
 * @param namespace null for the cluster's
 */
public record Ask(String verb, String group, String resource, @Nullable String namespace) {
  public static Ask get(String group, String resource, @Nullable String namespace) {
    return new Ask("get", group, resource, namespace);
  }

  public static Ask list(String group, String resource, @Nullable String namespace) {
    return new Ask("list", group, resource, namespace);
  }

  /** The resource as roles and kubectl name it: {@code pods/proxy}, {@code deployments.apps}. */
  public String named() {
    return group.isEmpty() ? resource : resource + "." + group;
  }

  /** Where: in a namespace, or in all of them. */
  public String where() {
    return namespace == null ? "in the whole cluster" : "in namespace " + namespace;
  }
}
