package dev.kvdrive.operator.desired;

import dev.kvdrive.feasibility.Request;
import io.fabric8.kubernetes.api.model.IntOrString;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicy;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyBuilder;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyEgressRule;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyEgressRuleBuilder;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyIngressRule;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyIngressRuleBuilder;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyPeer;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyPeerBuilder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.TreeSet;

/**
 * Who may talk to the pods and whom they may talk to: callers of the deployment's namespace and of
 * those it names; and, only for a model that is downloaded, name resolution and HTTPS.
 */
final class RuntimeNetwork {
  private static final String EVERYONE = "*";
  private static final String NAMESPACE_NAME = "kubernetes.io/metadata.name";

  private RuntimeNetwork() {}

  static NetworkPolicy policy(ObjectMeta metadata, Request request) {
    return new NetworkPolicyBuilder()
        .withMetadata(metadata)
        .withNewSpec()
        .withNewPodSelector()
        .withMatchLabels(Labels.selector(request.name()))
        .endPodSelector()
        .withPolicyTypes("Ingress", "Egress")
        .withIngress(ingress(request))
        .withEgress(egress(request))
        .endSpec()
        .build();
  }

  private static NetworkPolicyIngressRule ingress(Request request) {
    NetworkPolicyIngressRuleBuilder rule =
        new NetworkPolicyIngressRuleBuilder()
            .addNewPort()
            .withPort(new IntOrString(RuntimePod.PORT_NAME))
            .withProtocol("TCP")
            .endPort();
    TreeSet<String> namespaces =
        new TreeSet<>(Objects.requireNonNullElse(request.access().fromNamespaces(), List.of()));
    if (namespaces.contains(EVERYONE)) {
      return rule.build(); // No peers: everyone.
    }
    namespaces.addAll(request.pod().callers());
    List<NetworkPolicyPeer> peers = new ArrayList<>();
    peers.add(new NetworkPolicyPeerBuilder().withNewPodSelector().endPodSelector().build());
    for (String namespace : namespaces) {
      peers.add(
          new NetworkPolicyPeerBuilder()
              .withNewNamespaceSelector()
              .addToMatchLabels(NAMESPACE_NAME, namespace)
              .endNamespaceSelector()
              .build());
    }
    return rule.withFrom(peers).build();
  }

  private static List<NetworkPolicyEgressRule> egress(Request request) {
    if (!request.model().uri().startsWith("hf://")) {
      return List.of();
    }
    return List.of(
        new NetworkPolicyEgressRuleBuilder()
            .addNewPort()
            .withPort(new IntOrString(53))
            .withProtocol("UDP")
            .endPort()
            .addNewPort()
            .withPort(new IntOrString(53))
            .withProtocol("TCP")
            .endPort()
            .build(),
        new NetworkPolicyEgressRuleBuilder()
            .addNewPort()
            .withPort(new IntOrString(443))
            .withProtocol("TCP")
            .endPort()
            .build());
  }
}
