package dev.kvdrive.cli.cluster;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/**
 * As much of a kubelet as logs take: a node's HTTPS endpoint that the API server asks for what
 * containers wrote, with times, on request as long as they write.
 */
public final class Kubelet implements AutoCloseable {
  private static final String PASSWORD = "of-a-test";

  private final HttpsServer server;
  private final String node;
  private final Map<String, Container> containers = new HashMap<>();
  private final List<String> asked = new ArrayList<>();

  /** One run of a container; a restart makes another. */
  private static final class Container {
    private final List<String> lines = new ArrayList<>();
    private boolean ended;
    private int breaks;
  }

  /** Starts it, and says so to the API server. */
  public Kubelet(String node, KubernetesClient client) throws IOException, InterruptedException {
    this.node = node;
    server = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setHttpsConfigurator(new HttpsConfigurator(ownCertificate()));
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/containerLogs/", this::logs);
    server.start();
    var made =
        client
            .resource(new NodeBuilder().withNewMetadata().withName(node).endMetadata().build())
            .create();
    made.setStatus(
        new NodeBuilder()
            .withNewStatus()
            .addNewAddress(InetAddress.getLoopbackAddress().getHostAddress(), "InternalIP")
            .withNewDaemonEndpoints()
            .withNewKubeletEndpoint(server.getAddress().getPort())
            .endDaemonEndpoints()
            .endStatus()
            .build()
            .getStatus());
    client.resource(made).updateStatus();
  }

  private static SSLContext ownCertificate() throws IOException, InterruptedException {
    Path folder = Files.createTempDirectory("kvdrive-kubelet");
    Path store = folder.resolve("keys.p12");
    try {
      Process keytool =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                  "-genkeypair",
                  "-alias",
                  "kubelet",
                  "-keyalg",
                  "EC",
                  "-dname",
                  "CN=kubelet",
                  "-ext",
                  "SAN=IP:127.0.0.1",
                  "-storetype",
                  "PKCS12",
                  "-storepass",
                  PASSWORD,
                  "-keystore",
                  store.toString())
              .redirectErrorStream(true)
              .start();
      String said = new String(keytool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (keytool.waitFor() != 0) {
        throw new IOException(said);
      }
      KeyStore keys = KeyStore.getInstance("PKCS12");
      try (InputStream in = Files.newInputStream(store)) {
        keys.load(in, PASSWORD.toCharArray());
      }
      KeyManagerFactory managers =
          KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      managers.init(keys, PASSWORD.toCharArray());
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(managers.getKeyManagers(), null, null);
      return context;
    } catch (GeneralSecurityException e) {
      throw new IOException(e);
    } finally {
      Files.deleteIfExists(store);
      Files.deleteIfExists(folder);
    }
  }

  /** The node's name. */
  public String node() {
    return node;
  }

  /** Queries that came, in their order. */
  public synchronized List<String> asked() {
    return List.copyOf(asked);
  }

  /** A container writes. */
  public synchronized void write(String namespace, String pod, String... lines) {
    Container container = containers.computeIfAbsent(namespace + "/" + pod, _ -> new Container());
    for (String line : lines) {
      container.lines.add(Instant.now() + " " + line + "\n");
    }
    notifyAll();
  }

  /** Whoever follows is cut off, though the container goes on. */
  public synchronized void breakOff(String namespace, String pod) {
    containers.computeIfAbsent(namespace + "/" + pod, _ -> new Container()).breaks++;
    notifyAll();
  }

  /** A container ends, and what is written from now on is that of its successor. */
  public synchronized void restart(String namespace, String pod) {
    Container before = containers.put(namespace + "/" + pod, new Container());
    if (before != null) {
      before.ended = true;
    }
    notifyAll();
  }

  private void logs(HttpExchange exchange) throws IOException {
    String[] path = exchange.getRequestURI().getPath().split("/", -1);
    String query = String.valueOf(exchange.getRequestURI().getQuery());
    Container container;
    int breaks;
    synchronized (this) {
      asked.add(query);
      container = containers.get(path[2] + "/" + path[3]);
      breaks = container == null ? 0 : container.breaks;
    }
    if (container == null) {
      byte[] words = "container has written nothing".getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(404, words.length);
      exchange.getResponseBody().write(words);
      exchange.close();
      return;
    }
    exchange.sendResponseHeaders(200, 0);
    try (OutputStream out = exchange.getResponseBody()) {
      int sent = 0;
      while (true) {
        List<String> more;
        boolean end;
        synchronized (this) {
          more = List.copyOf(container.lines.subList(sent, container.lines.size()));
          end = !query.contains("follow=true") || container.ended || container.breaks > breaks;
          if (more.isEmpty() && !end) {
            wait();
            continue;
          }
        }
        for (String line : more) {
          out.write(line.getBytes(StandardCharsets.UTF_8));
        }
        out.flush();
        sent += more.size();
        if (end) {
          return;
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      exchange.close();
    }
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
