package dev.kvdrive.model.source;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;

/**
 * A proxy on loopback: tunnels for https, requests passed on for http. Finds names that nobody else
 * finds.
 */
final class ProxyStandIn implements AutoCloseable {
  private final ServerSocket listening;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final Set<Socket> open = ConcurrentHashMap.newKeySet();
  private final Map<String, Integer> ports;

  /** First lines of the requests that arrived, in order. */
  final List<String> requests = new CopyOnWriteArrayList<>();

  /** The value of Proxy-Authorization without which it answers 407; null to let everybody in. */
  volatile @Nullable String authorization;

  /** Answered instead of a tunnel; 0 for the usual. */
  volatile int status;

  /**
   * @param ports loopback ports by {@code name:port}
   */
  ProxyStandIn(Map<String, Integer> ports) throws IOException {
    this.ports = ports;
    listening = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    threads.execute(this::accept);
  }

  String host() {
    return "127.0.0.1:" + listening.getLocalPort();
  }

  private void accept() {
    while (!listening.isClosed()) {
      try {
        Socket client = listening.accept();
        open.add(client);
        threads.execute(() -> serve(client));
      } catch (IOException e) {
        return; // closed
      }
    }
  }

  private void serve(Socket client) {
    try (client) {
      List<String> header = header(client.getInputStream());
      String[] first = header.getFirst().split(" ", 3);
      requests.add(header.getFirst());
      String wanted = authorization;
      boolean known =
          wanted == null
              || header.stream().anyMatch(line -> line.equals("Proxy-Authorization: " + wanted));
      int refusal = known ? status : 407;
      if (refusal != 0) {
        write(client, "HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", refusal);
        return;
      }
      boolean tunnel = first[0].equals("CONNECT");
      URI at = URI.create(tunnel ? "tunnel://" + first[1] : first[1]);
      String name = at.getHost() + ":" + (at.getPort() < 0 ? 80 : at.getPort());
      Integer port = ports.get(name);
      if (port == null) {
        write(client, "HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 502);
        return;
      }
      try (Socket server = new Socket(InetAddress.getLoopbackAddress(), port)) {
        open.add(server);
        if (tunnel) {
          write(client, "HTTP/1.1 %d Connection established\r\n\r\n", 200);
        } else {
          StringBuilder passedOn =
              new StringBuilder(
                  "%s %s HTTP/1.1\r\n".formatted(first[0], at.getRawPath() + query(at)));
          header.stream()
              .skip(1)
              .filter(line -> !line.startsWith("Proxy-") && !line.startsWith("Connection"))
              .forEach(line -> passedOn.append(line).append("\r\n"));
          passedOn.append("Connection: close\r\n\r\n");
          server.getOutputStream().write(passedOn.toString().getBytes(StandardCharsets.ISO_8859_1));
        }
        threads.execute(() -> copy(client, server));
        copy(server, client);
      }
    } catch (IOException e) {
      // One side went away.
    }
  }

  private static String query(URI at) {
    return at.getRawQuery() == null ? "" : "?" + at.getRawQuery();
  }

  private static void copy(Socket from, Socket to) {
    try {
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      in.transferTo(out);
      to.shutdownOutput();
    } catch (IOException e) {
      // One side went away.
    }
  }

  private static void write(Socket client, String text, int status) throws IOException {
    client.getOutputStream().write(text.formatted(status).getBytes(StandardCharsets.ISO_8859_1));
  }

  private static List<String> header(InputStream in) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    while (!bytes.toString(StandardCharsets.ISO_8859_1).endsWith("\r\n\r\n")) {
      int next = in.read();
      if (next < 0) {
        throw new IOException("no request");
      }
      bytes.write(next);
    }
    return bytes.toString(StandardCharsets.ISO_8859_1).strip().lines().toList();
  }

  @Override
  public void close() throws IOException {
    listening.close();
    for (Socket socket : open) {
      socket.close();
    }
    threads.shutdownNow();
  }
}
