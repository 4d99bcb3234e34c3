package dev.kvdrive.feasibility;

import dev.kvdrive.api.v1alpha1.InferenceClassSpec;
import dev.kvdrive.api.v1alpha1.TraceCollector;
import dev.kvdrive.api.v1alpha1.Traces;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** How much of a deployment may be traced: where to is never its own decision. */
final class TracePolicy {
  private TracePolicy() {}

  /**
   * What a deployment asks for that it may not have.
   *
   * @param className null without a class
   * @throws IllegalArgumentException if a share is malformed
   */
  static Optional<String> violation(
      @Nullable Traces asked,
      InferenceClassSpec clazz,
      @Nullable String className,
      OperatorDefaults defaults) {
    if (asked == null || Boolean.FALSE.equals(asked.enabled())) {
      return Optional.empty();
    }
    TraceCollector collector = RequestResolver.collector(clazz, defaults);
    String share = asked.sampling();
    if (!collector.named()) {
      return share == null && asked.enabled() == null
          ? Optional.empty()
          : Optional.of(
              "traces.%s, and there is no collector to send traces to; leave it out, or have whoever runs this cluster name one: traces.endpoint of %s, or runtime.traces.endpoint of the chart."
                  .formatted(
                      share == null ? "enabled is true" : "sampling is " + share,
                      className == null ? "an InferenceClass" : "InferenceClass " + className));
    }
    if (share == null
        || RequestResolver.shareOrNothing("spec.traces.sampling", share)
            <= RequestResolver.most(collector)) {
      return Optional.empty();
    }
    boolean ofClass = clazz.traces() != null && clazz.traces().sampling() != null;
    return Optional.of(
        "traces.sampling is %s; %s allows at most %s."
            .formatted(
                share,
                ofClass ? "InferenceClass " + className : "the operator (runtime.traces.sampling)",
                collector.sampling()));
  }
}
