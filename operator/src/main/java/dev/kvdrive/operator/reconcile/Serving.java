package dev.kvdrive.operator.reconcile;

import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.operator.status.ForeignFields;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseSpec;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import org.jspecify.annotations.Nullable;

/**
 * Who serves a deployment. It is written into its status before anything else is done for it, and
 * holds until the operator that is named there is gone. So two operators that see the same
 * deployment never work against each other.
 *
 * <p>Operators of one namespace share a lease, and only the one that has it works: they are one.
 *
 * @param namespace of this operator
 * @param release of this operator
 * @param takeOver whether it takes what another serves
 * @param clock what the renewal of leases is compared with
 */
record Serving(String namespace, String release, boolean takeOver, Clock clock) {
  /** Name of the lease of every operator, in its namespace. */
  static final String LEASE = ForeignFields.OPERATOR;

  /** After which an operator that gave its lease back will not be followed by its next version. */
  private static final Duration GIVEN_BACK = Duration.ofMinutes(1);

  /** After which an operator that does not renew its lease is not just being restarted. */
  private static final Duration SILENT = Duration.ofMinutes(1);

  /** After which an operator that does not renew its lease will not come back soon. */
  private static final Duration NOT_RENEWED = Duration.ofMinutes(10);

  /** What is written into a status. */
  String identity() {
    return namespace + "/" + release;
  }

  /** Whether the deployment is marked as this operator's. */
  boolean isOurs(InferenceDeployment deployment) {
    return identity().equals(mark(deployment));
  }

  /** Who a deployment is marked as served by; empty if by nobody. */
  static String mark(InferenceDeployment deployment) {
    return deployment.getStatus() == null || deployment.getStatus().operator() == null
        ? ""
        : deployment.getStatus().operator();
  }

  /**
   * What is known of the claim of the operator that a deployment is marked as served by.
   *
   * @param mayTake whether the deployment may be taken now
   * @param renewed when that operator last renewed its lease; null if it works, or nobody knows
   * @param until when the deployment may be taken unless it comes back; null as before
   */
  record Claim(boolean mayTake, @Nullable Instant renewed, @Nullable Instant until) {
    private static final Claim OVER = new Claim(true, null, null);

    /** Of one that works, or of which nothing can be known. */
    private static final Claim STANDS = new Claim(false, null, null);

    /** Whether nobody has heard of the operator for so long that it is no mere restart. */
    boolean isSilent(Instant now) {
      return renewed != null && renewed.plus(SILENT).isBefore(now);
    }
  }

  /** What the operator that a deployment is marked as served by still has of it. */
  Claim claim(InferenceDeployment deployment, KubernetesClient client) {
    String mark = mark(deployment);
    int slash = mark.indexOf('/');
    return slash < 0 || takeOver || mark.substring(0, slash).equals(namespace)
        ? Claim.OVER
        : claim(mark.substring(0, slash), client);
  }

  private Claim claim(String other, KubernetesClient client) {
    try {
      Lease lease = client.leases().inNamespace(other).withName(LEASE).get();
      return lease == null || lease.getSpec() == null ? Claim.OVER : claim(lease.getSpec());
    } catch (KubernetesClientException e) {
      return Claim.STANDS; // who may not look there does not know
    }
  }

  private Claim claim(LeaseSpec lease) {
    boolean givenBack = lease.getHolderIdentity() == null || lease.getHolderIdentity().isEmpty();
    Instant now = clock.instant();
    Instant renewed =
        lease.getRenewTime() == null ? Instant.EPOCH : lease.getRenewTime().toInstant();
    Instant until = renewed.plus(givenBack ? GIVEN_BACK : NOT_RENEWED);
    if (until.isBefore(now)) {
      return Claim.OVER;
    }
    boolean works = !givenBack && !renewed.plus(SILENT).isBefore(now);
    return works ? Claim.STANDS : new Claim(false, renewed, until);
  }
}
