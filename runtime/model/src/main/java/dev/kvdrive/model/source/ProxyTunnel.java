package dev.kvdrive.model.source;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLSocketFactory;

/**
 * Makes TLS connections through a proxy: the socket that it hands out connects to the proxy, asks
 * it for a tunnel to the address it was meant for, and is then used as if it were connected to
 * that. Java's own tunnels refuse to send a password with the request for one unless a property of
 * the whole process is set before any connection is made, and do not say whether the proxy or the
 * hub refused. Thread-safe.
 */
final class ProxyTunnel extends SSLSocketFactory {
  private static final int MOST_HEADER_BYTES = 16 << 10;
  private static final Pattern STATUS = Pattern.compile("HTTP/1\\.[01] ([0-9]{3})(?: .*)?");

  /** A proxy that answers, but not with a tunnel. */
  static final class Refusal extends IOException {
    private static final long serialVersionUID = 1L;

    private final int status;

    Refusal(ProxyAddress proxy, int status) {
      super("the proxy %s refuses with status %d".formatted(proxy, status));
      this.status = status;
    }

    int status() {
      return status;
    }
  }

  private final ProxyAddress proxy;
  private final SSLSocketFactory tls;

  /**
   * @param tls makes the connections inside the tunnels
   */
  ProxyTunnel(ProxyAddress proxy, SSLSocketFactory tls) {
    this.proxy = proxy;
    this.tls = tls;
  }

  @Override
  public Socket createSocket() {
    return new Tunnelled(proxy);
  }

  @Override
  public Socket createSocket(Socket socket, String host, int port, boolean autoClose)
      throws IOException {
    return tls.createSocket(socket, host, port, autoClose);
  }

  /** Whoever needs the proxy must not be connected without it. */
  @Override
  public Socket createSocket(String host, int port) throws IOException {
    throw new IOException("only through the proxy " + proxy);
  }

  @Override
  public Socket createSocket(String host, int port, InetAddress localHost, int localPort)
      throws IOException {
    return createSocket(host, port);
  }

  @Override
  public Socket createSocket(InetAddress host, int port) throws IOException {
    return createSocket(host.getHostAddress(), port);
  }

  @Override
  public Socket createSocket(InetAddress host, int port, InetAddress localHost, int localPort)
      throws IOException {
    return createSocket(host, port);
  }

  @Override
  public String[] getDefaultCipherSuites() {
    return tls.getDefaultCipherSuites();
  }

  @Override
  public String[] getSupportedCipherSuites() {
    return tls.getSupportedCipherSuites();
  }

  private static final class Tunnelled extends Socket {
    private final ProxyAddress proxy;

    Tunnelled(ProxyAddress proxy) {
      this.proxy = proxy;
    }

    @Override
    public void connect(SocketAddress endpoint, int timeout) throws IOException {
      InetSocketAddress target = (InetSocketAddress) endpoint;
      long deadline = System.nanoTime() + timeout * 1_000_000L;
      super.connect(new InetSocketAddress(proxy.host(), proxy.port()), timeout);
      try {
        setSoTimeout(timeout);
        getOutputStream().write(request(target).getBytes(StandardCharsets.ISO_8859_1));
        int status = status(getInputStream(), timeout > 0 ? deadline : Long.MAX_VALUE);
        if (status / 100 != 2) {
          throw new Refusal(proxy, status);
        }
        setSoTimeout(0);
      } catch (IOException e) {
        close();
        throw e;
      }
    }

    private String request(InetSocketAddress target) {
      // The name as it was asked for: here it may well not resolve.
      String name = target.getHostString();
      String authority =
          (name.contains(":") && !name.startsWith("[") ? "[" + name + "]" : name)
              + ":"
              + target.getPort();
      return "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kvdrive\r\n%s\r\n"
          .formatted(
              authority,
              authority,
              proxy.authorization() == null
                  ? ""
                  : "Proxy-Authorization: " + proxy.authorization() + "\r\n");
    }

    /** Reads the answer's header and not a byte more: what follows is the hub's. */
    private static int status(InputStream in, long deadline) throws IOException {
      ByteArrayOutputStream header = new ByteArrayOutputStream();
      int ends = 0;
      while (ends < 2) {
        int next = in.read();
        if (next < 0) {
          throw new EOFException("the proxy closed the connection without an answer");
        }
        if (deadline - System.nanoTime() < 0) {
          throw new SocketTimeoutException("the proxy takes too long to answer");
        }
        header.write(next);
        if (header.size() > MOST_HEADER_BYTES) {
          throw new IOException("the proxy's answer has a header without an end");
        }
        ends = next == '\n' ? ends + 1 : next == '\r' ? ends : 0;
      }
      String first = header.toString(StandardCharsets.ISO_8859_1).lines().findFirst().orElse("");
      Matcher matcher = STATUS.matcher(first);
      if (!matcher.matches()) {
        throw new IOException("the proxy does not answer in HTTP");
      }
      return Integer.parseInt(matcher.group(1));
    }
  }
}
