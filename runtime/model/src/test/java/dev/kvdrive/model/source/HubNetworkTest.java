package dev.kvdrive.model.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.Golden;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A hub that only a proxy finds and that only a private authority vouches for: what a company's
 * network looks like.
 */
class HubNetworkTest {
  private static final String GGUF = "hf://acme/tiny/model.gguf";

  @TempDir private static Path shared;
  private static PrivateAuthority authority;

  @TempDir private Path folder;
  private HubStandIn hub;
  private ProxyStandIn proxy;

  @BeforeAll
  static void certify() {
    authority = PrivateAuthority.in(shared, HubStandIn.HUB, HubStandIn.STORE);
  }

  @BeforeEach
  void start() throws IOException, GeneralSecurityException {
    hub = new HubStandIn(authority.server());
    hub.put("model.gguf", Files.readAllBytes(Golden.file("llama-mixed.gguf")));
    proxy =
        new ProxyStandIn(
            Map.of(
                HubStandIn.HUB + ":443",
                hub.hubPort(),
                HubStandIn.STORE + ":443",
                hub.storePort()));
    Files.writeString(folder.resolve("ca.pem"), "# the company's\n" + authority.pem() + "\nend\n");
  }

  @AfterEach
  void stop() throws IOException {
    proxy.close();
    hub.close();
  }

  @Test
  void downloadsThroughAProxyFromAHubOfAPrivateAuthority() {
    Path file = source(network("http://" + proxy.host(), "", "ca.pem")).resolve(GGUF);

    assertThat(file).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
    assertThat(proxy.requests)
        .contains("CONNECT hub.example:443 HTTP/1.1", "CONNECT store.example:443 HTTP/1.1")
        .allSatisfy(line -> assertThat(line).startsWith("CONNECT "));
  }

  @Test
  void namesItselfToAProxyThatWantsAPassword() {
    proxy.authorization = basic("jane:p@ss+word");

    Path file =
        source(network("http://jane:p%40ss+word@" + proxy.host(), "", "ca.pem")).resolve(GGUF);

    assertThat(file).hasSameBinaryContentAs(Golden.file("llama-mixed.gguf"));
  }

  @Test
  void saysThatAProxyWantsAPasswordAndTriesItOnce() {
    proxy.authorization = basic("jane:right");

    assertThatThrownBy(
            () -> source(network("http://jane:wr0ng@" + proxy.host(), "", "ca.pem")).resolve(GGUF))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("407")
        .hasMessageContaining("HTTPS_PROXY")
        .hasMessageNotContaining("wr0ng");
    assertThat(proxy.requests).hasSize(1);
  }

  @Test
  void tellsTheProxysRefusalFromTheHubs() {
    proxy.status = 403;

    assertThatThrownBy(() -> source(network("http://" + proxy.host(), "", "ca.pem")).resolve(GGUF))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("the proxy refuses")
        .hasMessageContaining("403")
        .hasMessageNotContaining("licence");
    assertThat(proxy.requests).hasSize(1);
  }

  @Test
  void triesAgainWhenAProxyIsOverloaded() {
    proxy.status = 503;

    assertThatThrownBy(() -> source(network("http://" + proxy.host(), "", "ca.pem")).resolve(GGUF))
        .hasMessageContaining("503");
    assertThat(proxy.requests).hasSize(2);
  }

  @Test
  void saysHowToTrustAPrivateAuthorityAndTriesOnce() {
    assertThatThrownBy(() -> source(network("http://" + proxy.host(), "", null)).resolve(GGUF))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("not trusted")
        .hasMessageContaining("SSL_CERT_FILE");
    assertThat(proxy.requests).hasSize(1);
  }

  @Test
  void whatNeedsNoProxyIsReachedWithoutOne() throws IOException {
    try (HubStandIn plain = new HubStandIn()) {
      plain.put("config.json", "{}".getBytes(StandardCharsets.UTF_8));
      NetworkSettings network =
          NetworkSettings.from(
              Map.of("HTTP_PROXY", "http://" + proxy.host(), "NO_PROXY", "localhost"));

      assertThat(
              client(plain.endpoint(), null, network)
                  .listing(HubReference.parse("hf://acme/tiny"))
                  .files())
          .hasSize(1);
      assertThat(proxy.requests).isEmpty();
    }
  }

  @Test
  void asksAnHttpHubThroughAnHttpProxy() throws IOException {
    try (HubStandIn plain = new HubStandIn();
        ProxyStandIn http = new ProxyStandIn(Map.of("mirror.example:80", plain.hubPort()))) {
      plain.put("config.json", "{}".getBytes(StandardCharsets.UTF_8));
      http.authorization = basic("jane:secret");
      NetworkSettings network =
          NetworkSettings.from(Map.of("HTTP_PROXY", "http://jane:secret@" + http.host()));

      assertThat(
              client(URI.create("http://mirror.example"), null, network)
                  .listing(HubReference.parse("hf://acme/tiny"))
                  .files())
          .hasSize(1);
      assertThat(http.requests).singleElement().asString().startsWith("GET http://mirror.example/");
    }
  }

  @Test
  void aTokenIsNotSentUnencryptedToAProxy() throws IOException {
    try (HubStandIn plain = new HubStandIn()) {
      NetworkSettings network =
          NetworkSettings.from(Map.of("HTTP_PROXY", "http://" + proxy.host()));

      assertThatThrownBy(
              () ->
                  client(plain.endpoint(), "hf_secret", network)
                      .listing(HubReference.parse("hf://acme/tiny")))
          .isInstanceOf(ModelSourceException.class)
          .hasMessageContaining("NO_PROXY")
          .hasMessageNotContaining("hf_secret");
      assertThat(proxy.requests).isEmpty();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "example.com           | https://example.com             | true",
        "example.com           | https://hub.example.com         | true",
        ".example.com          | https://hub.example.com         | true",
        ".example.com          | https://example.com             | true",
        "example.com           | https://notexample.com          | false",
        "EXAMPLE.com.          | https://hub.Example.COM.        | true",
        "hub.example.com:8443  | https://hub.example.com:8443    | true",
        "hub.example.com:8443  | https://hub.example.com         | false",
        "hub.example.com:443   | https://hub.example.com         | true",
        "hub.example.com:80    | http://hub.example.com          | true",
        "a.test, b.test        | https://b.test                  | true",
        "a.test b.test         | https://b.test                  | true",
        "*                     | https://anything                | true",
        "10.0.0.0/8            | https://10.20.30.40             | true",
        "10.0.0.0/8            | https://11.20.30.40             | false",
        "10.1.2.3              | https://10.1.2.3                | true",
        "10.1.2.3              | https://10.1.2.30               | false",
        "192.168.0.0/17        | https://192.168.127.1           | true",
        "192.168.0.0/17        | https://192.168.128.1           | false",
        "10.0.0.0/8            | https://hub.example.com         | false",
        "10.0.0.0/x            | https://10.1.1.1                | false",
        "fd00::/8              | https://[fd12::1]               | true",
        "fd00::/8              | https://[fe80::1]               | false",
        "::1                   | https://[::1]:8443              | true",
        "[::1]:8443            | https://[::1]:8443              | true",
        "[::1]:8443            | https://[::1]                   | false",
        "''                    | https://example.com             | false",
        "0.0.1                 | https://10.0.0.1                | false",
      })
  void noProxyIsReadAsCurlReadsIt(String list, URI at, boolean direct) {
    assertThat(new NoProxy(list).matches(at, Connections.port(at))).isEqualTo(direct);
  }

  @Test
  void theSmallLettersComeFirstAndOneProxyMayServeBoth() {
    assertThat(
            NetworkSettings.from(
                Map.of(
                    "https_proxy", "http://small:1",
                    "HTTPS_PROXY", "http://capital:1",
                    "ALL_PROXY", "http://all:1",
                    "NO_PROXY", "a.test")))
        .isEqualTo(new NetworkSettings("http://small:1", "http://all:1", "a.test", null));
  }

  @ParameterizedTest
  @CsvSource({
    "proxy.test, proxy.test:80",
    "proxy.test:3128, proxy.test:3128",
    "http://proxy.test:3128/, proxy.test:3128",
    "http://u:p@proxy.test:3128, proxy.test:3128",
    "http://[::1]:3128, [::1]:3128",
  })
  void readsTheAddressOfAProxy(String text, String shown) {
    assertThat(ProxyAddress.parse("HTTPS_PROXY", text)).hasToString(shown);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "socks5://jane:secret@proxy.test:1080",
        "https://jane:secret@proxy.test",
        "http://jane:secret@proxy.test:99999",
        "http://jane:secret@",
        "http://jane:secret%zz@proxy.test",
        "jane:secret@proxy test",
      })
  void refusesOtherProxiesWithoutShowingPasswords(String text) {
    assertThatThrownBy(() -> ProxyAddress.parse("HTTPS_PROXY", text))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("HTTPS_PROXY")
        .hasMessageNotContaining("secret");
    assertThat(NetworkSettings.from(Map.of("HTTPS_PROXY", text)).toString())
        .doesNotContain("secret");
  }

  @Test
  void aProxyThatCannotBeUsedStopsNoModelThatIsHere() {
    Map<String, String> environment =
        Map.of("ALL_PROXY", "socks5://nowhere", "SSL_CERT_FILE", "/nowhere");

    assertThat(new ModelSource(folder, HubSettings.from(environment)).resolve(ModelSource.BUILTIN))
        .exists();
  }

  @ParameterizedTest
  @CsvSource({
    "none.pem, there is no file",
    "empty.pem, has no certificate",
    "bad.pem, cannot be read"
  })
  void aFileWithoutCertificatesIsNamed(String file, String said) throws IOException {
    Files.writeString(folder.resolve("empty.pem"), "nothing");
    Files.writeString(
        folder.resolve("bad.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

    assertThatThrownBy(() -> source(network("http://" + proxy.host(), "", file)).resolve(GGUF))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("SSL_CERT_FILE")
        .hasMessageContaining(file)
        .hasMessageContaining(said);
  }

  private NetworkSettings network(String proxy, String none, @Nullable String certificates) {
    Map<String, String> environment = new HashMap<>();
    environment.put("HTTPS_PROXY", proxy);
    environment.put("NO_PROXY", none);
    if (certificates != null) {
      environment.put("SSL_CERT_FILE", folder.resolve(certificates).toString());
    }
    return NetworkSettings.from(environment);
  }

  private ModelSource source(NetworkSettings network) {
    return new ModelSource(
        folder.resolve("cache"), settings(URI.create("https://" + HubStandIn.HUB), null, network));
  }

  private static HubClient client(URI endpoint, @Nullable String token, NetworkSettings network) {
    return new HubClient(settings(endpoint, token, network));
  }

  private static HubSettings settings(
      URI endpoint, @Nullable String token, NetworkSettings network) {
    return new HubSettings(
        endpoint,
        token,
        false,
        3,
        16 << 10,
        2,
        Duration.ofMillis(1),
        Duration.ofSeconds(5),
        network);
  }

  private static String basic(String login) {
    return "Basic " + Base64.getEncoder().encodeToString(login.getBytes(StandardCharsets.UTF_8));
  }
}
