package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.schedule.FinishReason;
import dev.kvdrive.server.serving.StartFailure;
import io.netty.pkitesting.CertificateBuilder;
import io.netty.pkitesting.CertificateBuilder.Algorithm;
import io.netty.pkitesting.X509Bundle;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.KeyStore;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * TLS over real sockets: who gets in, what is said of wrong files, and certificates that change.
 */
class TlsTest {
  private static final X509Bundle CA = authority("CN=servers");
  private static final X509Bundle CLIENTS = authority("CN=clients");

  @TempDir Path folder;
  private final ScriptedRuntime scripted = new ScriptedRuntime();
  private @Nullable OwnRuntime runtime;
  private int versions;

  private static X509Bundle authority(String name) {
    try {
      return builder(name).setIsCertificateAuthority(true).buildSelfSigned();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  private static CertificateBuilder builder(String name) {
    return new CertificateBuilder().algorithm(Algorithm.ecp256).subject(name);
  }

  private static X509Bundle server(String name) throws Exception {
    return server(builder(name));
  }

  private static X509Bundle server(CertificateBuilder builder) throws Exception {
    return builder.addSanDnsName("localhost").buildIssuedBy(CA);
  }

  @AfterEach
  void end() {
    if (runtime != null) {
      runtime.close();
    }
  }

  /** Puts certificate and key where the server reads them, in one step as the kubelet does. */
  private void place(X509Bundle bundle) throws IOException {
    place(bundle.getCertificatePathPEM(), bundle.getPrivateKeyPEM());
  }

  private void place(String certificate, String key) throws IOException {
    Path version = Files.createDirectory(folder.resolve("version-" + versions++));
    Files.writeString(version.resolve("tls.crt"), certificate);
    Files.writeString(version.resolve("tls.key"), key);
    Path link = folder.resolve("fresh");
    Files.createSymbolicLink(link, version.getFileName());
    Files.move(
        link,
        folder.resolve("current"),
        StandardCopyOption.ATOMIC_MOVE,
        StandardCopyOption.REPLACE_EXISTING);
  }

  private OwnRuntime started(String... more) {
    List<String> settings = new ArrayList<>();
    settings.add("--kvdrive.tls.certificate=" + folder.resolve("current/tls.crt"));
    settings.add("--kvdrive.tls.key=" + folder.resolve("current/tls.key"));
    settings.addAll(List.of(more));
    if (settings.stream().noneMatch(setting -> setting.contains("health-port"))) {
      settings.add("--kvdrive.tls.health-port=0");
    }
    OwnRuntime fresh = OwnRuntime.start(scripted, settings.toArray(String[]::new));
    runtime = fresh;
    return fresh.ready();
  }

  private static KeyStore store(X509Certificate... trusted) throws Exception {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    for (int i = 0; i < trusted.length; i++) {
      store.setCertificateEntry("ca" + i, trusted[i]);
    }
    return store;
  }

  private static SSLContext context(X509Bundle authority, @Nullable X509Bundle own)
      throws Exception {
    TrustManagerFactory trust =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store(authority.getCertificate()));
    SSLContext context = SSLContext.getInstance("TLS");
    KeyManagerFactory keys = null;
    if (own != null) {
      KeyStore store = store();
      store.setKeyEntry(
          "own", own.getKeyPair().getPrivate(), new char[0], own.getCertificatePath());
      keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      keys.init(store, new char[0]);
    }
    context.init(keys == null ? null : keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  private static HttpClient client(X509Bundle authority, @Nullable X509Bundle own)
      throws Exception {
    return HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1)
        .sslContext(context(authority, own))
        .build();
  }

  private static URI uri(OwnRuntime runtime, String path) {
    return URI.create("https://localhost:" + runtime.port() + path);
  }

  private static HttpResponse<String> get(HttpClient client, URI uri) throws Exception {
    return client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
  }

  private static HttpRequest tokenize(OwnRuntime runtime) {
    return HttpRequest.newBuilder(uri(runtime, "/tokenize"))
        .header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString("{\"prompt\":\"hello\"}"))
        .build();
  }

  /** The certificate that a new connection is shown. */
  private static X509Certificate shown(OwnRuntime runtime) throws Exception {
    try (SSLSocket socket =
        (SSLSocket)
            context(CA, null).getSocketFactory().createSocket("localhost", runtime.port())) {
      socket.startHandshake();
      return (X509Certificate) socket.getSession().getPeerCertificates()[0];
    }
  }

  private static double metric(OwnRuntime runtime, String name) throws Exception {
    return runtime
        .healthPort()
        .get("/metrics")
        .lines()
        .filter(line -> line.startsWith(name + " "))
        .mapToDouble(line -> Double.parseDouble(line.substring(name.length() + 1)))
        .findFirst()
        .orElseThrow();
  }

  enum Kind {
    RSA(Algorithm.rsa2048),
    EC(Algorithm.ecp384),
    ED25519(Algorithm.ed25519);

    private final Algorithm algorithm;

    Kind(Algorithm algorithm) {
      this.algorithm = algorithm;
    }
  }

  @ParameterizedTest
  @EnumSource
  void theApiAnswersOverTlsAndAStreamIsWhole(Kind kind) throws Exception {
    place(server(builder("CN=one").algorithm(kind.algorithm)));
    OwnRuntime server = started();
    try (HttpClient client = client(CA, null)) {
      HttpResponse<String> tokens =
          client.send(tokenize(server), HttpResponse.BodyHandlers.ofString());
      assertThat(tokens.statusCode()).isEqualTo(200);
      assertThat(tokens.sslSession().orElseThrow().getProtocol()).isEqualTo("TLSv1.3");
      var stream =
          client.sendAsync(
              HttpRequest.newBuilder(uri(server, "/v1/chat/completions"))
                  .header("Content-Type", "application/json")
                  .POST(
                      HttpRequest.BodyPublishers.ofString(
                          ScriptedServer.chat("hello", "\"stream\":true")))
                  .build(),
              HttpResponse.BodyHandlers.ofString());
      ScriptedEngine.Played generation = scripted.engine.next();
      generation.token(5, "one");
      generation.finish(FinishReason.STOP, "");
      assertThat(stream.join().body()).contains("one").endsWith("data: [DONE]\n\n");
      // An answer that ends the connection, while the client could still send.
      HttpResponse<String> tooLarge =
          client.send(
              HttpRequest.newBuilder(uri(server, "/tokenize"))
                  .header("Content-Type", "application/json")
                  .POST(HttpRequest.BodyPublishers.ofString("\"" + "x".repeat(4 << 20) + "\""))
                  .build(),
              HttpResponse.BodyHandlers.ofString());
      assertThat(tooLarge.statusCode()).isEqualTo(413);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
  void bothVersionsAreSpoken(String version) throws Exception {
    place(server("CN=one"));
    OwnRuntime server = started();
    try (SSLSocket socket =
        (SSLSocket) context(CA, null).getSocketFactory().createSocket("localhost", server.port())) {
      SSLParameters parameters = socket.getSSLParameters();
      parameters.setProtocols(new String[] {version});
      socket.setSSLParameters(parameters);
      socket.startHandshake();
      assertThat(socket.getSession().getProtocol()).isEqualTo(version);
    }
  }

  /** By hand, since this JDK's own clients refuse to ask for it. */
  @Test
  void olderVersionsAreRefused() throws Exception {
    place(server("CN=one"));
    OwnRuntime server = started();
    // A ClientHello of TLS 1.1: version, random, no session, two ciphers, no compression.
    int body = 2 + 32 + 1 + 2 + 4 + 2;
    ByteBuffer hello = ByteBuffer.allocate(5 + 4 + body);
    hello.put(new byte[] {22, 3, 1}).putShort((short) (4 + body));
    hello.put(new byte[] {1, 0}).putShort((short) body);
    hello.put(new byte[] {3, 2}).put(new byte[32]).put((byte) 0);
    hello.put(new byte[] {0, 4, (byte) 0xc0, 0x13, 0, 0x2f, 1, 0});
    try (Socket socket = new Socket("localhost", server.port())) {
      socket.setSoTimeout(10_000);
      socket.getOutputStream().write(hello.array());
      byte[] answer = socket.getInputStream().readNBytes(7);
      // An alert, fatal, protocol_version.
      assertThat(answer[0]).isEqualTo((byte) 21);
      assertThat(answer[6]).isEqualTo((byte) 70);
    }
  }

  @Test
  void aClientThatTrustsAnotherAuthorityTurnsAwayAndIsCounted() throws Exception {
    place(server("CN=one"));
    OwnRuntime server = started();
    try (HttpClient client = client(CLIENTS, null)) {
      assertThatThrownBy(() -> get(client, uri(server, "/v1/models")))
          .isInstanceOf(IOException.class);
    }
    Awaitility.await()
        .atMost(Duration.ofMinutes(1))
        .untilAsserted(
            () -> assertThat(metric(server, "kvdrive_tls_handshakes_failed_total")).isEqualTo(1));
  }

  @Test
  void onlyClientsOfTheGivenAuthorityConnect() throws Exception {
    place(server("CN=one"));
    Path clients = Files.writeString(folder.resolve("ca.crt"), CLIENTS.getCertificatePEM());
    OwnRuntime server = started("--kvdrive.tls.client-ca=" + clients);
    X509Bundle own = builder("CN=ada").buildIssuedBy(CLIENTS);
    X509Bundle foreign = builder("CN=eve").buildIssuedBy(CA);
    try (HttpClient good = client(CA, own);
        HttpClient wrong = client(CA, foreign);
        HttpClient none = client(CA, null)) {
      assertThat(get(good, uri(server, "/v1/models")).statusCode()).isEqualTo(200);
      assertThatThrownBy(() -> get(wrong, uri(server, "/v1/models")))
          .isInstanceOf(IOException.class);
      assertThatThrownBy(() -> get(none, uri(server, "/v1/models")))
          .isInstanceOf(IOException.class);
      Awaitility.await()
          .atMost(Duration.ofMinutes(1))
          .untilAsserted(
              () ->
                  assertThat(metric(server, "kvdrive_tls_handshakes_failed_total"))
                      .isGreaterThanOrEqualTo(2));

      // The authority changes like the certificate does.
      Files.writeString(clients, CA.getCertificatePEM());
      try (HttpClient later = client(CA, foreign)) {
        Awaitility.await()
            .atMost(Duration.ofMinutes(1))
            .ignoreExceptions()
            .until(() -> get(later, uri(server, "/v1/models")).statusCode() == 200);
      }
      try (HttpClient later = client(CA, own)) {
        assertThatThrownBy(() -> get(later, uri(server, "/v1/models")))
            .isInstanceOf(IOException.class);
      }
    }
  }

  @Test
  void probesAndMetricsNeedNoTlsAndNothingElseIsAnsweredWithoutIt() throws Exception {
    place(server("CN=one"));
    OwnRuntime server = started();
    OwnRuntime.Plain plain = server.healthPort();
    for (String path : List.of("/health", "/health/ready", "/health/live", "/health/startup")) {
      assertThat(plain.get(path)).contains("\"status\":\"ready\"");
    }
    assertThat(plain.get("/metrics")).contains("kvdrive_connections_open");
    for (String path : List.of("/v1/models", "/tokenize", "/", "/healthy", "/ui")) {
      assertThat(plain.get(path)).contains("\"code\":\"tls_required\"");
    }
    // What goes on behind the paths that are open leads nowhere.
    assertThat(plain.get("/health/../v1/models")).contains("\"code\":\"unknown_url\"");
    try (HttpClient client = client(CA, null)) {
      assertThat(get(client, uri(server, "/health/ready")).statusCode()).isEqualTo(200);
    }
  }

  @Test
  void whoSpeaksPlainToThePortWithTlsIsHungUpOn() throws Exception {
    place(server("CN=one"));
    OwnRuntime server = started();
    try (Socket socket = new Socket("localhost", server.port())) {
      socket.setSoTimeout(10_000);
      socket
          .getOutputStream()
          .write("GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n".getBytes(StandardCharsets.UTF_8));
      assertThat(answer(socket)).doesNotContain("HTTP/1.1");
    }
    Awaitility.await()
        .atMost(Duration.ofMinutes(1))
        .untilAsserted(
            () -> assertThat(metric(server, "kvdrive_tls_handshakes_failed_total")).isEqualTo(1));
  }

  /** What comes until the end, or until the other side breaks off. */
  private static String answer(Socket socket) throws IOException {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    try {
      socket.getInputStream().transferTo(all);
    } catch (SocketException e) {
      // A reset is an end, too.
    }
    return all.toString(StandardCharsets.ISO_8859_1);
  }

  /** Clients of all kinds: those that keep their connection, and those that make one each time. */
  @Test
  void aNewCertificateIsTakenOverUnderLoadWithoutOneFailedRequest() throws Exception {
    place(server("CN=first"));
    OwnRuntime server = started();
    AtomicBoolean stop = new AtomicBoolean();
    AtomicInteger answered = new AtomicInteger();
    try (HttpClient kept = client(CA, null);
        ExecutorService load = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<?>> clients = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        boolean fresh = i % 2 == 0;
        clients.add(
            load.submit(
                () -> {
                  while (!stop.get()) {
                    if (fresh) {
                      try (HttpClient client = client(CA, null)) {
                        check(client, server);
                      }
                    } else {
                      check(kept, server);
                    }
                    answered.incrementAndGet();
                  }
                  return null;
                }));
      }
      var stream =
          kept.sendAsync(
              HttpRequest.newBuilder(uri(server, "/v1/chat/completions"))
                  .header("Content-Type", "application/json")
                  .POST(
                      HttpRequest.BodyPublishers.ofString(
                          ScriptedServer.chat("hello", "\"stream\":true")))
                  .build(),
              HttpResponse.BodyHandlers.ofString());
      ScriptedEngine.Played generation = scripted.engine.next();
      generation.token(5, "before");
      for (String name : List.of("CN=second", "CN=third")) {
        int before = answered.get();
        place(server(name));
        Awaitility.await()
            .atMost(Duration.ofMinutes(1))
            .until(() -> shown(server).getSubjectX500Principal().getName().equals(name));
        Awaitility.await().atMost(Duration.ofMinutes(1)).until(() -> answered.get() > before + 20);
      }
      generation.token(6, "after");
      generation.finish(FinishReason.STOP, "");
      assertThat(stream.join().body()).contains("before", "after", "[DONE]");
      stop.set(true);
      for (Future<?> one : clients) {
        one.get();
      }
    }
    assertThat(metric(server, "kvdrive_tls_reloads_total")).isEqualTo(2);
    assertThat(metric(server, "kvdrive_tls_handshakes_failed_total")).isZero();
  }

  private static void check(HttpClient client, OwnRuntime server) throws Exception {
    HttpResponse<String> answer =
        client.send(tokenize(server), HttpResponse.BodyHandlers.ofString());
    assertThat(answer.statusCode()).isEqualTo(200);
  }

  @Test
  void filesThatBecomeWrongChangeNothingAndAreTold() throws Exception {
    X509Bundle first = server("CN=first");
    X509Bundle second = server("CN=second");
    place(first);
    OwnRuntime server = started();
    assertThat(metric(server, "kvdrive_tls_certificate_current")).isEqualTo(1);
    assertThat(metric(server, "kvdrive_tls_certificate_not_after_seconds"))
        .isEqualTo((double) first.getCertificate().getNotAfter().toInstant().getEpochSecond());

    place(second.getCertificatePathPEM(), first.getPrivateKeyPEM());
    Awaitility.await()
        .atMost(Duration.ofMinutes(1))
        .until(() -> metric(server, "kvdrive_tls_certificate_current") == 0);
    assertThat(server.healthPort().get("/health/ready"))
        .contains("\"status\":\"ready\"")
        .contains("the TLS certificate was not reloaded")
        .contains("is not the key of the first certificate")
        .doesNotContain(folder.toString());
    assertThat(shown(server)).isEqualTo(first.getCertificate());

    place(second);
    Awaitility.await()
        .atMost(Duration.ofMinutes(1))
        .until(() -> metric(server, "kvdrive_tls_certificate_current") == 1);
    assertThat(shown(server)).isEqualTo(second.getCertificate());
    assertThat(server.healthPort().get("/health/ready")).doesNotContain("TLS");
  }

  @Test
  void everyMetricOfTlsIsDocumentedAndThere() throws Exception {
    place(server("CN=one"));
    OwnRuntime server = started();
    String section =
        Files.readString(Path.of("../../docs/metrics.md"))
            .split("\n## TLS\n", 2)[1]
            .split("\n## ", 2)[0];
    assertThat(names("^# TYPE (kvdrive_tls_\\S+) ", server.healthPort().get("/metrics")))
        .isEqualTo(names("^\\| `([^`]+)`", section))
        .isNotEmpty();
  }

  private static Set<String> names(String pattern, String text) {
    return Pattern.compile(pattern, Pattern.MULTILINE)
        .matcher(text)
        .results()
        .map(found -> found.group(1))
        .collect(Collectors.toCollection(TreeSet::new));
  }

  @Test
  void aCertificateThatIsNearItsEndIsTold() throws Exception {
    Instant now = Instant.now();
    place(
        server(
            builder("CN=one")
                .notBefore(now.minus(Duration.ofHours(30)))
                .notAfter(now.plus(Duration.ofHours(3)))));
    OwnRuntime server = started();
    assertThat(server.healthPort().get("/health/ready"))
        .contains("\"status\":\"ready\"")
        .contains("the TLS certificate ends on ");
  }

  private String refusedWith(String... more) {
    try {
      started(more);
    } catch (RuntimeException e) {
      return StartFailure.reason(e);
    }
    throw new AssertionError("it started");
  }

  @Test
  void wrongFilesEndTheStartWithTheSettingAndTheReason() throws Exception {
    X509Bundle good = server("CN=good");
    Instant now = Instant.now();

    assertThat(refusedWith())
        .startsWith("kvdrive.tls.certificate cannot be read: /")
        .contains(": there is no such file or folder")
        .contains("tls.crt");
    place("nonsense", good.getPrivateKeyPEM());
    assertThat(refusedWith()).contains("kvdrive.tls.certificate").contains("BEGIN CERTIFICATE");
    place(good.getCertificatePathPEM(), "nonsense");
    assertThat(refusedWith()).contains("kvdrive.tls.key").contains("no private key in PEM");
    place(good.getCertificatePathPEM(), server("CN=other").getPrivateKeyPEM());
    assertThat(refusedWith())
        .contains("is not the key of the first certificate")
        .contains("CN=good");
    place(
        good.getCertificatePathPEM(),
        good.getPrivateKeyPEM().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"));
    assertThat(refusedWith()).contains("has a key with a password");
    place(
        server(
            builder("CN=old").notBefore(now.minusSeconds(7200)).notAfter(now.minusSeconds(3600))));
    assertThat(refusedWith()).contains("for CN=old, ended on ").contains("renew it");
    place(
        server(builder("CN=new").notBefore(now.plusSeconds(3600)).notAfter(now.plusSeconds(7200))));
    assertThat(refusedWith()).contains("for CN=new, begins on ");
    place(good);
    Path empty = Files.writeString(folder.resolve("empty"), "");
    assertThat(refusedWith("--kvdrive.tls.client-ca=" + empty))
        .contains("kvdrive.tls.client-ca")
        .contains("has no certificate in PEM");
    assertThat(refusedWith("--kvdrive.tls.health-port=70000")).contains("kvdrive.tls.health-port");
    int taken = Objects.requireNonNull(started()).port();
    assertThat(refusedWith("--kvdrive.tls.health-port=" + taken))
        .isEqualTo(
            "port %d is in use by another program; choose one with kvdrive.tls.health-port"
                .formatted(taken));
  }
}
