package dev.kvdrive.cli.cluster;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** Which cluster, for a command that has a namespace of its own to say. */
public final class ClusterOptions {
  @Option(
      names = "--kubeconfig",
      paramLabel = "FILE",
      description = "How to reach the cluster (default: KUBECONFIG, else ~/.kube/config).")
  private @Nullable Path kubeconfig;

  /**
   * The cluster.
   *
   * @param context of the kubeconfig; null for the one it has as its current one
   * @param namespace that the user named; null for that of the context
   * @throws ParameterException if an option names what is not there
   */
  public Cluster open(CommandSpec spec, @Nullable String context, @Nullable String namespace) {
    try {
      return Cluster.open(kubeconfig, context, namespace);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  /** Whether the user said which cluster. */
  public boolean given() {
    return kubeconfig != null;
  }
}
