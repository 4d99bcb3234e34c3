package dev.kvdrive.operator;

import dev.kvdrive.operator.status.FailureWords;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.GenericKubernetesResourceBuilder;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.net.HttpURLConnection;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Map;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The lease by which the operators of one namespace agree on one that works, and by which those of
 * other namespaces know that it does. It goes with the operator: its owner is the account the
 * operator acts as, so that uninstalling takes it away although nobody is left who may write it;
 * and whoever stops gives it back, which the framework does not do.
 */
final class OperatorLease {
  /** How long others wait for a holder that is not heard of. */
  static final Duration DURATION = Duration.ofSeconds(60);

  /** After which a holder that cannot renew it ends; well before others may have it. */
  static final Duration RENEW_DEADLINE = Duration.ofSeconds(40);

  static final Duration RETRY_PERIOD = Duration.ofSeconds(5);

  private static final DateTimeFormatter MICROS =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);

  private static final String ACCOUNT_PREFIX = "system:serviceaccount:";

  private static final Logger log = LoggerFactory.getLogger(OperatorLease.class);

  private final KubernetesClient client;
  private final String namespace;
  private final String name;
  private final String holder;
  private volatile boolean owned;

  /**
   * @param namespace of the operator
   * @param holder how this process is called in the lease; another process is called otherwise
   */
  OperatorLease(KubernetesClient client, String namespace, String name, String holder) {
    this.client = client;
    this.namespace = namespace;
    this.name = name;
    this.holder = holder;
  }

  /** The name of the pod; a container that is made anew goes on with its predecessor's lease. */
  static String thisProcess() {
    String pod = System.getenv("HOSTNAME");
    return pod == null || pod.isBlank() ? UUID.randomUUID().toString() : pod;
  }

  String name() {
    return name;
  }

  String holder() {
    return holder;
  }

  /** Has the lease go with the account this process acts as, if it is one; once is enough. */
  void belongToAccount() {
    if (owned) {
      return;
    }
    try {
      GenericKubernetesResource me =
          client
              .genericKubernetesResources("authentication.k8s.io/v1", "SelfSubjectReview")
              .resource(
                  new GenericKubernetesResourceBuilder()
                      .withApiVersion("authentication.k8s.io/v1")
                      .withKind("SelfSubjectReview")
                      .withNewMetadata()
                      .endMetadata()
                      .build())
              .create();
      Object user = me.get("status", "userInfo");
      if (user instanceof Map<?, ?> info
          && info.get("uid") instanceof String uid
          && info.get("username") instanceof String who
          && who.startsWith(ACCOUNT_PREFIX + namespace + ":")) {
        own(who.substring((ACCOUNT_PREFIX + namespace + ":").length()), uid);
      }
      owned = true;
    } catch (KubernetesClientException e) {
      log.debug("Lease {} has no owner yet: {}", name, FailureWords.of(e));
    }
  }

  private void own(String account, String uid) {
    client
        .resource(
            new LeaseBuilder()
                .withNewMetadata()
                .withName(name)
                .withNamespace(namespace)
                .addNewOwnerReference()
                .withApiVersion("v1")
                .withKind("ServiceAccount")
                .withName(account)
                .withUid(uid)
                .endOwnerReference()
                .endMetadata()
                .build())
        .patch(
            new PatchContext.Builder()
                .withPatchType(PatchType.SERVER_SIDE_APPLY)
                .withFieldManager(OperatorBeans.NAME)
                .withForce(true)
                .build());
  }

  /** Lets another have it at once, if this process still has it. Called when nothing renews it. */
  void giveBack() {
    try {
      if (!tryGiveBack()) {
        var _ = tryGiveBack(); // a last renewal was under way
      }
    } catch (KubernetesClientException e) {
      // Uninstalling takes the right away first; the lease goes with the account then.
      log.info("The lease could not be given back: {}", FailureWords.of(e));
    }
  }

  private boolean tryGiveBack() {
    Lease lease = client.leases().inNamespace(namespace).withName(name).get();
    if (lease == null
        || lease.getSpec() == null
        || !holder.equals(lease.getSpec().getHolderIdentity())) {
      return true;
    }
    try {
      client
          .leases()
          .inNamespace(namespace)
          .withName(name)
          .patch(
              PatchContext.of(PatchType.JSON_MERGE),
              "{\"metadata\":{\"resourceVersion\":\"%s\"},\"spec\":{\"holderIdentity\":null,\"renewTime\":\"%s\"}}"
                  .formatted(
                      lease.getMetadata().getResourceVersion(), MICROS.format(Instant.now())));
      log.info("The lease is given back");
      return true;
    } catch (KubernetesClientException e) {
      if (e.getCode() == HttpURLConnection.HTTP_CONFLICT) {
        return false;
      }
      throw e;
    }
  }
}
