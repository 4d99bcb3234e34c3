package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.fabric8.kubernetes.api.model.OwnerReference;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.ServiceAccountBuilder;
import io.fabric8.kubernetes.api.model.authentication.TokenRequest;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.api.model.rbac.RoleBindingBuilder;
import io.fabric8.kubernetes.api.model.rbac.RoleBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import org.junit.jupiter.api.Test;

/** The lease of an operator is nobody else's, and does not outlast it. */
class OperatorLeaseTest {
  private static final String NAME = "kvdrive-operator";

  private final ApiServer server = ApiServer.get();
  private final KubernetesClient client = server.client();
  private final String namespace = server.newNamespace();

  /** The garbage collector then takes it away, whoever may still write it. */
  @Test
  void goesWithTheAccountOfTheOperator() {
    ServiceAccount account = account();
    leaseOf("pod-1");
    try (KubernetesClient operator = OperatorBeans.client(configOf(account))) {
      new OperatorLease(operator, namespace, NAME, "pod-1").belongToAccount();
    }

    assertThat(lease().getMetadata().getOwnerReferences())
        .extracting(OwnerReference::getKind, OwnerReference::getUid)
        .containsExactly(tuple("ServiceAccount", account.getMetadata().getUid()));
    assertThat(lease().getSpec().getHolderIdentity()).isEqualTo("pod-1");
  }

  @Test
  void belongsToNobodyWhenAPersonRunsTheOperator() {
    leaseOf("laptop");

    new OperatorLease(client, namespace, NAME, "laptop").belongToAccount();

    assertThat(lease().getMetadata().getOwnerReferences()).isEmpty();
  }

  @Test
  void isGivenBack() {
    leaseOf("pod-1");

    new OperatorLease(client, namespace, NAME, "pod-1").giveBack();

    assertThat(lease().getSpec().getHolderIdentity()).isNull();
    assertThat(lease().getSpec().getRenewTime()).isNotNull();
  }

  @Test
  void isNotGivenBackByWhoHasLostIt() {
    leaseOf("pod-2");

    new OperatorLease(client, namespace, NAME, "pod-1").giveBack();

    assertThat(lease().getSpec().getHolderIdentity()).isEqualTo("pod-2");
  }

  private void leaseOf(String holder) {
    client
        .resource(
            new LeaseBuilder()
                .withNewMetadata()
                .withName(NAME)
                .withNamespace(namespace)
                .endMetadata()
                .withNewSpec()
                .withHolderIdentity(holder)
                .endSpec()
                .build())
        .create();
  }

  private Lease lease() {
    return client.leases().inNamespace(namespace).withName(NAME).get();
  }

  /** With the chart's rights to its lease. */
  private ServiceAccount account() {
    client
        .resource(
            new RoleBuilder()
                .withNewMetadata()
                .withName(NAME)
                .withNamespace(namespace)
                .endMetadata()
                .addNewRule()
                .withApiGroups("coordination.k8s.io")
                .withResources("leases")
                .withResourceNames(NAME)
                .withVerbs("get", "patch", "update")
                .endRule()
                .build())
        .create();
    client
        .resource(
            new RoleBindingBuilder()
                .withNewMetadata()
                .withName(NAME)
                .withNamespace(namespace)
                .endMetadata()
                .withNewRoleRef("rbac.authorization.k8s.io", "Role", NAME)
                .addNewSubject("", "ServiceAccount", NAME, namespace)
                .build())
        .create();
    return client
        .resource(
            new ServiceAccountBuilder()
                .withNewMetadata()
                .withName(NAME)
                .withNamespace(namespace)
                .endMetadata()
                .build())
        .create();
  }

  /** As in a pod: with a token and nothing else. */
  private Config configOf(ServiceAccount account) {
    TokenRequest token =
        client
            .serviceAccounts()
            .inNamespace(namespace)
            .withName(account.getMetadata().getName())
            .tokenRequest();
    Config config = server.config();
    config.setClientCertData(null);
    config.setClientCertFile(null);
    config.setClientKeyData(null);
    config.setClientKeyFile(null);
    config.setOauthToken(token.getStatus().getToken());
    return config;
  }
}
