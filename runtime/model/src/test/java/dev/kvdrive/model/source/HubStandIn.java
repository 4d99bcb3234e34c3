package dev.kvdrive.model.source;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import org.jspecify.annotations.Nullable;

/**
 * A hub on loopback: lists one repository, answers small files itself and redirects large ones to a
 * second server, as the real hub does, and fails on command.
 */
final class HubStandIn implements AutoCloseable {
  static final String REPOSITORY = "acme/tiny";
  static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";
  static final String HUB = "hub.example";
  static final String STORE = "store.example";
  private static final int LARGE = 4096;
  private static final Pattern RANGE = Pattern.compile("bytes=([0-9]+)-([0-9]+)");

  /**
   * A request that arrived.
   *
   * @param host {@code hub} or {@code store}
   */
  record Request(
      String host, String path, @Nullable String range, @Nullable String authorization) {}

  /**
   * What goes wrong with one answer.
   *
   * @param status answered instead, 0 for the usual one
   * @param retryAfterSeconds sent along, negative for none
   * @param cutAfter bytes after which the body breaks off, negative for none
   * @param ignoreRange send everything
   * @param silent open the body and send nothing until closed
   */
  record Fault(
      int status, int retryAfterSeconds, int cutAfter, boolean ignoreRange, boolean silent) {
    static Fault status(int status) {
      return new Fault(status, -1, -1, false, false);
    }

    static Fault retryAfter(int status, int seconds) {
      return new Fault(status, seconds, -1, false, false);
    }

    static Fault cut(int after) {
      return new Fault(0, -1, after, false, false);
    }

    static Fault ranges() {
      return new Fault(0, -1, -1, true, false);
    }

    static Fault silence() {
      return new Fault(0, -1, -1, false, true);
    }
  }

  private final HttpServer hub;
  private final HttpServer store;
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final Map<String, byte[]> files = new TreeMap<>();
  private final Map<String, byte[]> advertised = new TreeMap<>();

  /** Everything that arrived, in order. */
  final List<Request> requests = new CopyOnWriteArrayList<>();

  /** Decides about the fault of a request; null for none. */
  volatile Function<Request, @Nullable Fault> faults = r -> null;

  /** The commit that every revision means. */
  volatile String commit = COMMIT;

  /** The token without which the hub answers 401; null to let everybody in. */
  volatile @Nullable String token;

  /** Where large files are, as the hub's redirects say. */
  private final URI storeAddress;

  HubStandIn() throws IOException {
    this(null);
  }

  /**
   * @param tls with it, hub and store are {@link #HUB} and {@link #STORE}, names that only a proxy
   *     finds, and speak https
   */
  HubStandIn(@Nullable SSLContext tls) throws IOException {
    hub = server(tls);
    store = server(tls);
    storeAddress =
        tls == null
            ? URI.create("http://127.0.0.1:" + store.getAddress().getPort())
            : URI.create("https://" + STORE);
    hub.createContext("/", e -> handle("hub", e));
    store.createContext("/", e -> handle("store", e));
    hub.setExecutor(threads);
    store.setExecutor(threads);
    hub.start();
    store.start();
  }

  private static HttpServer server(@Nullable SSLContext tls) throws IOException {
    InetSocketAddress any = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    if (tls == null) {
      return HttpServer.create(any, 0);
    }
    HttpsServer server = HttpsServer.create(any, 0);
    server.setHttpsConfigurator(new HttpsConfigurator(tls));
    return server;
  }

  int hubPort() {
    return hub.getAddress().getPort();
  }

  int storePort() {
    return store.getAddress().getPort();
  }

  /** Leaves the repository without files. */
  void clear() {
    files.clear();
    advertised.clear();
  }

  void put(String name, byte[] content) {
    files.put(name, content);
    advertised.put(name, content);
  }

  /** Sends other bytes than those that the listing describes. */
  void replaceSilently(String name, byte[] content) {
    files.put(name, content);
  }

  URI endpoint() {
    return URI.create("http://localhost:" + hub.getAddress().getPort());
  }

  long count(String host, String pathPart) {
    return requests.stream()
        .filter(r -> r.host().equals(host) && r.path().contains(pathPart))
        .count();
  }

  private void handle(String host, HttpExchange e) throws IOException {
    Request request =
        new Request(
            host,
            e.getRequestURI().getPath(),
            e.getRequestHeaders().getFirst("Range"),
            e.getRequestHeaders().getFirst("Authorization"));
    requests.add(request);
    try (e) {
      Fault fault = faults.apply(request);
      String wanted = token;
      if (fault != null && fault.status() != 0) {
        if (fault.retryAfterSeconds() >= 0) {
          e.getResponseHeaders().set("Retry-After", String.valueOf(fault.retryAfterSeconds()));
        }
        e.sendResponseHeaders(fault.status(), -1);
      } else if (host.equals("hub")
          && wanted != null
          && !("Bearer " + wanted).equals(request.authorization())) {
        e.sendResponseHeaders(401, -1);
      } else if (request.path().startsWith("/api/models/" + REPOSITORY + "/revision/")) {
        byte[] listing = listing().getBytes(StandardCharsets.UTF_8);
        e.sendResponseHeaders(200, listing.length);
        e.getResponseBody().write(listing);
      } else {
        String name = request.path().replaceFirst("^(/store)?/[^/]+/[^/]+/resolve/[^/]+/", "");
        byte[] content = files.get(name);
        if (content == null || !request.path().contains("/" + REPOSITORY + "/")) {
          e.sendResponseHeaders(404, -1);
        } else if (host.equals("hub") && content.length >= LARGE) {
          e.getResponseHeaders().set("Location", storeAddress + "/store" + request.path());
          e.sendResponseHeaders(302, -1);
        } else {
          body(e, request, content, fault);
        }
      }
    }
  }

  private static void body(HttpExchange e, Request request, byte[] content, @Nullable Fault fault)
      throws IOException {
    byte[] part = content;
    int status = 200;
    Matcher range = RANGE.matcher(request.range() == null ? "" : request.range());
    if (range.matches() && (fault == null || !fault.ignoreRange())) {
      int from = Integer.parseInt(range.group(1));
      int to = Math.min(content.length - 1, Integer.parseInt(range.group(2)));
      part = Arrays.copyOfRange(content, from, to + 1);
      status = 206;
      e.getResponseHeaders()
          .set("Content-Range", "bytes %d-%d/%d".formatted(from, to, content.length));
    }
    e.sendResponseHeaders(status, part.length == 0 ? -1 : part.length);
    if (fault != null && fault.silent()) {
      e.getResponseBody().flush();
      e.getRequestBody().readAllBytes();
      awaitClientGone(e);
      return;
    }
    int length = fault == null || fault.cutAfter() < 0 ? part.length : fault.cutAfter();
    OutputStream out = e.getResponseBody();
    out.write(part, 0, Math.min(length, part.length));
    out.flush();
  }

  /** Keeps the connection open and silent for longer than any client in these tests waits. */
  private static void awaitClientGone(HttpExchange e) {
    synchronized (e) {
      try {
        e.wait(2_000);
      } catch (InterruptedException ex) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private String listing() {
    StringBuilder siblings = new StringBuilder();
    advertised.forEach(
        (name, content) -> {
          siblings.append(siblings.isEmpty() ? "" : ",");
          siblings.append(
              content.length >= LARGE
                  ? "{\"rfilename\":\"%s\",\"size\":%d,\"blobId\":\"%s\",\"lfs\":{\"sha256\":\"%s\",\"size\":%d}}"
                      .formatted(
                          name,
                          content.length,
                          "0".repeat(40),
                          hash("SHA-256", new byte[0], content),
                          content.length)
                  : "{\"rfilename\":\"%s\",\"size\":%d,\"blobId\":\"%s\"}"
                      .formatted(
                          name,
                          content.length,
                          hash(
                              "SHA-1",
                              ("blob " + content.length + "\0").getBytes(StandardCharsets.US_ASCII),
                              content)));
        });
    return "{\"id\":\"%s\",\"sha\":\"%s\",\"siblings\":[%s]}"
        .formatted(REPOSITORY, commit, siblings);
  }

  private static String hash(String algorithm, byte[] prefix, byte[] content) {
    try {
      MessageDigest digest = MessageDigest.getInstance(algorithm);
      digest.update(prefix);
      return HexFormat.of().formatHex(digest.digest(content));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void close() {
    hub.stop(0);
    store.stop(0);
    threads.shutdownNow();
  }
}
