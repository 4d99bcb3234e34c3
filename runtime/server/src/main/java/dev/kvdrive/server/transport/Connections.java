package dev.kvdrive.server.transport;

import io.netty.channel.AdaptiveRecvByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelOption;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.handler.codec.http.HttpVersion;
import java.time.Duration;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import reactor.core.publisher.Mono;
import reactor.netty.NettyPipeline;
import reactor.netty.http.server.HttpServer;
import reactor.netty.http.server.HttpServerRequest;
import reactor.netty.http.server.HttpServerResponse;

/**
 * The open connections, which are bounded. When all are open, a new one takes the place of the one
 * that has been without a whole request for the longest time: a body takes no time unless its
 * sender lets it, and probes must always get in. Only if all are being answered it is turned away.
 * Thread-safe.
 */
public final class Connections {
  private static final int SMALLEST_READ_BYTES = 1024;
  private static final int FIRST_READ_BYTES = 4 * 1024;

  private final ConnectionLimits limits;
  private final Exchange.Listener listener;

  // guarded by this
  private final Set<Connection> open = new HashSet<>();
  private final Set<Connection> waiting = new LinkedHashSet<>();

  private volatile boolean leaving;

  public Connections(ConnectionLimits limits, Exchange.Listener listener) {
    this.limits = limits;
    this.listener = listener;
  }

  /**
   * The server with its connections under these rules.
   *
   * @param tls what secures them; null for connections in plain
   * @param readBytes read from a connection at once
   * @param writeBytes that wait to be written to a connection before its answer waits too
   */
  public HttpServer govern(HttpServer server, @Nullable Tls tls, int readBytes, int writeBytes) {
    return server
        .childOption(
            ChannelOption.RECVBUF_ALLOCATOR,
            new AdaptiveRecvByteBufAllocator(SMALLEST_READ_BYTES, FIRST_READ_BYTES, readBytes)
                .maxMessagesPerRead(1))
        .childOption(
            ChannelOption.WRITE_BUFFER_WATER_MARK,
            new WriteBufferWaterMark(writeBytes / 2, writeBytes))
        .mapHandle(Connections::framed)
        .doOnChannelInit((observer, channel, remote) -> install(channel, tls));
  }

  /**
   * An answer without a length goes in chunks, which a client of HTTP/1.0 cannot read: it gets
   * plain bytes until the connection closes. Said here, before the server decides what becomes of
   * the connection, so that it knows that it must close.
   */
  private static Mono<Void> framed(Mono<Void> answer, reactor.netty.Connection exchange) {
    if (exchange instanceof HttpServerRequest request
        && exchange instanceof HttpServerResponse response
        && request.version().equals(HttpVersion.HTTP_1_0)) {
      response.chunkedTransfer(false).keepAlive(false);
    }
    return answer;
  }

  private void install(Channel channel, @Nullable Tls tls) {
    if (tls != null) {
      // Under this name the server knows of it, too.
      channel
          .pipeline()
          .addFirst(NettyPipeline.SslHandler, tls.handler(channel, limits.headTimeout()));
    }
    Connection connection = new Connection(this, limits, listener, channel);
    channel.pipeline().addBefore(NettyPipeline.HttpCodec, "kvdrive.bytes", connection.bytes());
    channel.pipeline().addAfter(NettyPipeline.HttpCodec, "kvdrive.requests", connection.requests());
  }

  /**
   * Takes leave of the clients. Who keeps a connection sends its next request there, also when
   * nobody sends new connections here any more; so what is open is answered once more and told to
   * close, and closes by itself where nothing comes. Connections that are opened from now on ask
   * for nothing that would have to be waited for.
   *
   * @param limit when to return at the latest
   */
  public void farewell(Duration limit) throws InterruptedException {
    long end = System.nanoTime() + limit.toNanos();
    List<Connection> were;
    synchronized (this) {
      leaving = true;
      were = List.copyOf(open);
    }
    were.forEach(Connection::leave);
    synchronized (this) {
      long left = end - System.nanoTime();
      while (left > 0 && open.stream().anyMatch(Connection::owes)) {
        // A little more than nothing, which would be for ever.
        TimeUnit.NANOSECONDS.timedWait(this, Math.max(left, TimeUnit.MILLISECONDS.toNanos(1)));
        left = end - System.nanoTime();
      }
    }
  }

  /** Whether leave is taken. */
  boolean leaving() {
    return leaving;
  }

  /** A connection owes its client something, or does no more. */
  synchronized void changed() {
    notifyAll();
  }

  /** Open connections. */
  public synchronized int open() {
    return open.size();
  }

  /** Connections that may be open. */
  public int limit() {
    return limits.connections();
  }

  /** Counts a new connection; false if there is no place for it, and it is not counted. */
  boolean opened(Connection connection) {
    Optional<Connection> evicted = Optional.empty();
    synchronized (this) {
      if (open.size() >= limits.connections()) {
        Iterator<Connection> longest = waiting.iterator();
        if (!longest.hasNext()) {
          return false;
        }
        evicted = Optional.of(longest.next());
        longest.remove();
        open.remove(evicted.get());
      }
      open.add(connection);
      waiting.add(connection);
    }
    evicted.ifPresent(Connection::evict);
    return true;
  }

  /**
   * A connection got the head of a request.
   *
   * @return false if it has just been evicted
   */
  synchronized boolean busy(Connection connection) {
    return waiting.remove(connection) && waiting.add(connection);
  }

  /** All of a connection's request is here. */
  synchronized void received(Connection connection) {
    waiting.remove(connection);
  }

  /** A connection has no request any more. */
  synchronized void idle(Connection connection) {
    if (open.contains(connection)) {
      waiting.add(connection);
    }
  }

  /** A connection has closed, counted or not. */
  synchronized void closed(Connection connection) {
    waiting.remove(connection);
    open.remove(connection);
    notifyAll();
  }
}
