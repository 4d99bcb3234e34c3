package dev.kvdrive.operator.desired;

import dev.kvdrive.feasibility.Request;
import dev.kvdrive.observed.Labels;
import dev.kvdrive.observed.RuntimeContainer;
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
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyPort;
import io.fabric8.kubernetes.api.model.networking.v1.NetworkPolicyPortBuilder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * Who may talk to the pods and whom they may talk to: callers of the deployment's namespace, of
 * those it names and of those of its Gateways; and name resolution and the way to the hub, only for
 * a model that is downloaded, and to the collector of traces, only where there is one.
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

  private static List<NetworkPolicyIngressRule> ingress(Request request) {
    List<NetworkPolicyIngressRule> rules = new ArrayList<>();
    rules.add(api(request));
    if (request.access().tls() != null && !request.pod().callers().isEmpty()) {
      // Health and metrics, for the operator and whoever scrapes; the kubelet needs no rule.
      rules.add(
          open(RuntimeContainer.PORT_NAME)
              .withFrom(
                  new TreeSet<>(request.pod().callers())
                      .stream().map(RuntimeNetwork::namespace).toList())
              .build());
    }
    return rules;
  }

  private static NetworkPolicyIngressRule api(Request request) {
    NetworkPolicyIngressRuleBuilder rule = open(RuntimePod.apiPort(request));
    TreeSet<String> namespaces =
        new TreeSet<>(Objects.requireNonNullElse(request.access().fromNamespaces(), List.of()));
    if (namespaces.contains(EVERYONE)) {
      return rule.build(); // No peers: everyone.
    }
    namespaces.addAll(request.pod().callers());
    if (request.route() != null) {
      request.route().parentRefs().stream()
          .flatMap(gateway -> Stream.ofNullable(gateway.namespace()))
          .forEach(namespaces::add);
    }
    List<NetworkPolicyPeer> peers = new ArrayList<>();
    peers.add(new NetworkPolicyPeerBuilder().withNewPodSelector().endPodSelector().build());
    namespaces.forEach(namespace -> peers.add(namespace(namespace)));
    return rule.withFrom(peers).build();
  }

  private static NetworkPolicyIngressRuleBuilder open(String port) {
    return new NetworkPolicyIngressRuleBuilder()
        .addNewPort()
        .withPort(new IntOrString(port))
        .withProtocol("TCP")
        .endPort();
  }

  static NetworkPolicyPeer namespace(String name) {
    return new NetworkPolicyPeerBuilder()
        .withNewNamespaceSelector()
        .addToMatchLabels(NAMESPACE_NAME, name)
        .endNamespaceSelector()
        .build();
  }

  private static List<NetworkPolicyEgressRule> egress(Request request) {
    RuntimeDownloads downloads = new RuntimeDownloads(request);
    List<NetworkPolicyEgressRule> rules = new ArrayList<>();
    new RuntimeTraces(request)
        .destination()
        .ifPresent(
            collector ->
                rules.add(
                    new NetworkPolicyEgressRuleBuilder()
                        .withPorts(port(collector.port(), "TCP"))
                        .withTo(collector.peers())
                        .build()));
    if (downloads.needed()) {
      rules.add(
          new NetworkPolicyEgressRuleBuilder()
              .withPorts(downloads.ports().stream().map(number -> port(number, "TCP")).toList())
              .build());
    }
    if (!rules.isEmpty()) {
      rules.addFirst(
          new NetworkPolicyEgressRuleBuilder().withPorts(port(53, "UDP"), port(53, "TCP")).build());
    }
    return rules;
  }

  private static NetworkPolicyPort port(int number, String protocol) {
    return new NetworkPolicyPortBuilder()
        .withPort(new IntOrString(number))
        .withProtocol(protocol)
        .build();
  }
}
