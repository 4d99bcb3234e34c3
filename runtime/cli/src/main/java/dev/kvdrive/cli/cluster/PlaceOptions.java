package dev.kvdrive.cli.cluster;

import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** Which cluster and namespace, for a command whose {@code --context} is that of a kubeconfig. */
public final class PlaceOptions {
  @Option(
      names = {"-n", "--namespace"},
      paramLabel = "NAMESPACE",
      description = "Where to look (default: the context's namespace).")
  private @Nullable String namespace;

  @Option(
      names = {"--context", "--kube-context"},
      paramLabel = "NAME",
      description = "Context of the kubeconfig (default: its current one).")
  private @Nullable String context;

  @Mixin private ClusterOptions cluster = new ClusterOptions();

  /** The namespace that the user named. */
  public @Nullable String namespace() {
    return namespace;
  }

  /**
   * The cluster.
   *
   * @throws ParameterException if an option names what is not there
   */
  public Cluster open(CommandSpec spec) {
    return cluster.open(spec, context, namespace);
  }
}
