package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.Downloads;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the operator was installed with, for everything that neither deployment nor class says.
 *
 * @param images runtime images
 * @param imagePullPolicy when they are pulled
 * @param imagePullSecrets names of pull secrets in the deployments' namespaces
 * @param userId user and group of runtime pods; null leaves both to the image
 * @param callers namespaces whose pods may always connect to runtime pods: the operator's own and
 *     those of the monitoring
 * @param downloads how runtime pods reach the model hub
 * @param traces where runtime pods send traces
 * @param classRequired whether a deployment that no class governs is refused
 */
public record OperatorDefaults(
    RuntimeImages images,
    PullPolicy imagePullPolicy,
    List<String> imagePullSecrets,
    @Nullable Long userId,
    Set<String> callers,
    Downloads downloads,
    TraceCollector traces,
    boolean classRequired) {
  /**
   * In place of the collector of an installation that is not known: whoever judges without knowing
   * it refuses nothing for want of one.
   */
  public static final TraceCollector UNKNOWN_COLLECTOR =
      new TraceCollector("http://unknown:4318", null, null, null);

  public OperatorDefaults {
    imagePullSecrets = List.copyOf(imagePullSecrets);
    callers = Set.copyOf(callers);
  }

  /**
   * An installation of one image that says nothing of downloads and traces, and requires no class.
   */
  public OperatorDefaults(
      String image,
      PullPolicy imagePullPolicy,
      List<String> imagePullSecrets,
      @Nullable Long userId,
      Set<String> callers) {
    this(
        new RuntimeImages(image, image),
        imagePullPolicy,
        imagePullSecrets,
        userId,
        callers,
        Downloads.UNSAID,
        TraceCollector.UNSAID,
        false);
  }
}
