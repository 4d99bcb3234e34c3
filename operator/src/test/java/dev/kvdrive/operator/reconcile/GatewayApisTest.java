package dev.kvdrive.operator.reconcile;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.operator.ApiServer;
import dev.kvdrive.operator.status.RouteView.Served;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import org.junit.jupiter.api.Test;

/** What the API server says of the Gateway API to those who may ask, and to those who may not. */
class GatewayApisTest {
  private final ApiServer server = ApiServer.get();

  @Test
  void everyAccountMayAskWhatIsServed() {
    ApiServer.installGatewayApi(server.client());
    try (KubernetesClient account = server.newClientAs("default", "nobody-in-particular")) {
      assertThat(new GatewayApis(true).served(account))
          .isEqualTo(new Served(true, true, true, null));
    }
  }

  @Test
  void whoMayMakeNoRoutesDoesNotAsk() {
    KubernetesClient closed = server.newClient();
    closed.close();

    assertThat(new GatewayApis(false).served(closed)).isEqualTo(Served.FORBIDDEN);
  }

  @Test
  void whatCannotBeFoundOutIsNotTakenForMissing() {
    try (KubernetesClient stranger = stranger()) {
      Served served = new GatewayApis(true).served(stranger);

      assertThat(served.routes()).isFalse();
      assertThat(served.unknown()).contains("forbidden");
    }
  }

  /** Somebody whom the API server tells nothing. */
  private KubernetesClient stranger() {
    Config config = server.config();
    config.setImpersonateUsername("system:anonymous");
    config.setImpersonateGroups("system:unauthenticated");
    return new KubernetesClientBuilder().withConfig(config).build();
  }
}
