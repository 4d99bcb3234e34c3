package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.PullPolicy;
import dev.kvdrive.feasibility.Assessor;
import dev.kvdrive.feasibility.GeometryCatalogue;
import dev.kvdrive.feasibility.OperatorDefaults;
import dev.kvdrive.feasibility.WrittenManifests;
import dev.kvdrive.operator.status.StatusAggregator;
import dev.kvdrive.operator.usage.TierMeter;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ErrorStatusUpdateControl;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.lang.reflect.Proxy;
import java.time.Clock;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What a stop breaks off is no failure of a deployment. */
class StopTest {
  private final InferenceDeploymentReconciler reconciler =
      new InferenceDeploymentReconciler(
          new Assessor(
              GeometryCatalogue.wellKnown(),
              new OperatorDefaults("image", PullPolicy.NEVER, List.of(), null, Set.of())),
          new StatusAggregator(Clock.systemUTC()),
          new TierMeter(8080),
          false,
          false,
          false,
          "kvdrive-system",
          "kvdrive",
          false,
          new SimpleMeterRegistry());

  @Test
  void whatFailsWhileTheOperatorStopsIsWrittenNowhere() {
    reconciler.stop();

    assertThat(failed(new IllegalStateException("the client is closed")).getResource()).isEmpty();
  }

  @Test
  void whatWasInterruptedIsWrittenNowhere() {
    assertThat(
            failed(new KubernetesClientException("Operation failed.", new InterruptedException()))
                .getResource())
        .isEmpty();
  }

  private ErrorStatusUpdateControl<InferenceDeployment> failed(Exception failure) {
    return reconciler.updateErrorStatus(
        WrittenManifests.deployment("endpoint", "legal", ""), untouched(), failure);
  }

  /** Nothing of it may be used: neither a cache nor the client. */
  @SuppressWarnings("unchecked") // an interface of any type argument
  private static Context<InferenceDeployment> untouched() {
    return (Context<InferenceDeployment>)
        Proxy.newProxyInstance(
            StopTest.class.getClassLoader(),
            new Class<?>[] {Context.class},
            (proxy, method, arguments) -> {
              throw new AssertionError(method + " was used");
            });
  }
}
