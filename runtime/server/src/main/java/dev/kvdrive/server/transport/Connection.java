package dev.kvdrive.server.transport;

import dev.kvdrive.server.openai.ApiException;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufHolder;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelDuplexHandler;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelPromise;
import io.netty.channel.socket.DuplexChannel;
import io.netty.handler.codec.DecoderException;
import io.netty.handler.codec.DecoderResult;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpStatusClass;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.handler.ssl.SslHandler;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One connection, seen in front of the HTTP codec (bytes) and behind it (requests and answers).
 * Everything happens on its event loop but {@link #evict}.
 *
 * <ul>
 *   <li>Requests reach the server one at a time; what a client sends ahead waits here, and while
 *       something waits nothing more is read.
 *   <li>The head of a request has a deadline, so has the time without one.
 *   <li>What cannot be decoded, and what the framework answers with a bare status, gets a body.
 *   <li>A connection that closes while its client still sends is closed for writing only and then
 *       read to the end, for a while: otherwise the client would see a reset instead of the answer.
 * </ul>
 */
final class Connection {
  private static final Logger log = LoggerFactory.getLogger(Connection.class);

  /** How long a client that gets no further answer may go on sending. */
  private static final Duration LINGER = Duration.ofSeconds(5);

  /** How long a quiet connection waits for one more request when leave is taken. */
  private static final Duration LAST_REQUEST = Duration.ofSeconds(1);

  private enum Phase {
    /** No byte of the next request is here. */
    QUIET,
    /** Some of its head is. */
    HEAD,
    /** It is being answered, or what is left of its body is skipped. */
    REQUEST,
    /** The last answer is out; what still comes is dropped. */
    LINGERING
  }

  private final Connections connections;
  private final ConnectionLimits limits;
  private final Exchange.Listener listener;
  private final Channel channel;
  private final Deque<Object> ahead = new ArrayDeque<>();
  private Phase phase = Phase.QUIET;
  private boolean counted;
  private volatile boolean evicted;

  /** Whether it was opened when leave was taken already. */
  private boolean late;

  /** Whether the client was told that this connection closes. */
  private boolean toldToClose;

  /** Whether an answer, or the time for one more request, is outstanding. */
  private volatile boolean owing = true;

  private boolean readWanted;
  private @Nullable Future<?> deadline;

  // of the request that is being answered
  private String method = "";
  private String path = "";
  private String requestId = "";
  private boolean head;
  private boolean http10;
  private long startNanos;
  private boolean received;
  private boolean lastWritten;
  private boolean answered;
  private int status;
  private long bytes;

  private final ChannelHandler firstHandler =
      new ChannelInboundHandlerAdapter() {
        @Override
        public void channelActive(ChannelHandlerContext ctx) {
          counted = connections.opened(Connection.this);
          if (counted) {
            late = connections.leaving();
            owing = !late;
            expire(limits.headTimeout());
            ctx.fireChannelActive();
          } else if (ssl() == null) {
            refuse(TransportError.full(limits.connections()));
          } else {
            // Its answer would wait for a handshake that may never end.
            phase = Phase.LINGERING;
            ChannelFuture _ = channel.close();
          }
        }

        @Override
        public void channelRead(ChannelHandlerContext ctx, Object msg) {
          if (phase == Phase.LINGERING) {
            ReferenceCountUtil.release(msg);
            return;
          }
          if (phase == Phase.QUIET) {
            phase = Phase.HEAD;
            expire(limits.headTimeout());
          }
          ctx.fireChannelRead(msg);
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
          if (cause instanceof IOException) {
            // Of the network, not of ours. What it means, that the connection is gone, comes next.
            log.debug("A connection broke: {}", cause.getMessage());
            ChannelFuture _ = channel.close();
          } else if (cause instanceof DecoderException
              && cause.getCause() instanceof SSLException) {
            // Counted where the handshake is; a record that is wrong later ends the connection,
            // too.
            log.debug("A connection without TLS, or with none that can be: {}", cause.getMessage());
            ChannelFuture _ = channel.close();
          } else {
            ctx.fireExceptionCaught(cause);
          }
        }

        @Override
        public void channelInactive(ChannelHandlerContext ctx) {
          closed();
          ctx.fireChannelInactive();
        }
      };

  Connection(
      Connections connections,
      ConnectionLimits limits,
      Exchange.Listener listener,
      Channel channel) {
    this.connections = connections;
    this.limits = limits;
    this.listener = listener;
    this.channel = channel;
  }

  /** Closes it to make room for another, with an answer if it has begun a request; any thread. */
  void evict() {
    evicted = true;
    channel.eventLoop().execute(this::giveWay);
  }

  /** Leave is taken: it is answered once more, if it asks soon; any thread. */
  void leave() {
    channel
        .eventLoop()
        .execute(
            () -> {
              if (phase == Phase.QUIET) {
                expire(LAST_REQUEST);
              }
              reckon();
            });
  }

  /** Whether there is something to wait for before it may be told that it comes too late. */
  boolean owes() {
    return owing;
  }

  /** What is only looked at, such as a page that goes on for ever, is not waited for. */
  private void reckon() {
    boolean owes =
        switch (phase) {
          case QUIET, HEAD -> !late;
          case REQUEST -> !late && method.equals(HttpMethod.POST.name());
          case LINGERING -> false;
        };
    if (owes != owing) {
      owing = owes;
      connections.changed();
    }
  }

  private void giveWay() {
    if (phase == Phase.REQUEST && received) {
      // All of its request arrived in this very moment: it is answered, beside the one more.
      return;
    }
    if (phase == Phase.REQUEST && status == 0) {
      counted = false;
      refuse(TransportError.full(limits.connections()));
    } else {
      ChannelFuture _ = channel.close();
    }
  }

  /** In front of the codec. */
  ChannelHandler bytes() {
    return firstHandler;
  }

  /** Behind the codec. */
  ChannelHandler requests() {
    return new ChannelDuplexHandler() {
      @Override
      public void channelRead(ChannelHandlerContext ctx, Object msg) {
        if (phase == Phase.LINGERING) {
          ReferenceCountUtil.release(msg);
        } else if (!ahead.isEmpty() || (msg instanceof HttpRequest && phase == Phase.REQUEST)) {
          ahead.add(msg);
          pause();
        } else {
          receive(ctx, msg);
        }
      }

      @Override
      public void read(ChannelHandlerContext ctx) {
        if (ahead.isEmpty()) {
          ctx.read();
        } else {
          readWanted = true;
        }
      }

      @Override
      public void write(ChannelHandlerContext ctx, Object msg, ChannelPromise promise) {
        send(ctx, msg, promise);
      }

      @Override
      public void close(ChannelHandlerContext ctx, ChannelPromise promise) {
        if (phase == Phase.REQUEST && lastWritten && !received && channel.isActive() && !evicted) {
          linger();
          ChannelFuture _ = channel.closeFuture().addListener(closed -> promise.trySuccess());
        } else {
          ChannelFuture _ = ctx.close(promise);
        }
      }
    };
  }

  /** Reads no more until {@link #release} has let in what is here. */
  private void pause() {
    if (channel.config().isAutoRead()) {
      channel.config().setAutoRead(false);
      readWanted = true;
    }
  }

  private void receive(ChannelHandlerContext ctx, Object msg) {
    DecoderResult decoded =
        msg instanceof HttpObject object ? object.decoderResult() : DecoderResult.SUCCESS;
    if (msg instanceof HttpRequest request) {
      begin(request);
    }
    if (decoded.isFailure()) {
      ReferenceCountUtil.release(msg);
      if (status == 0) {
        refuse(TransportError.undecodable(decoded.cause()));
      } else {
        // The answer has begun, and nothing more can be understood.
        ChannelFuture _ = channel.close();
      }
      return;
    }
    if (msg instanceof HttpRequest request) {
      Optional<ApiException> fault = RequestHead.fault(request);
      if (fault.isPresent()) {
        ReferenceCountUtil.release(msg);
        refuse(fault.get());
        return;
      }
      if (connections.leaving()) {
        if (late && request.method().equals(HttpMethod.POST)) {
          ReferenceCountUtil.release(msg);
          refuse(ApiException.shuttingDown());
          return;
        }
        reckon();
      }
    }
    if (msg instanceof LastHttpContent) {
      received = true;
      connections.received(this);
    }
    ctx.fireChannelRead(msg);
    becomeQuiet();
  }

  private void begin(HttpRequest request) {
    expire(null);
    if (!connections.busy(this)) {
      // Evicted at this very moment; the connection closes.
      evicted = true;
    }
    phase = Phase.REQUEST;
    boolean known = request.decoderResult().isSuccess();
    method = known ? request.method().name() : "";
    path = known ? withoutQuery(request.uri()) : "";
    head = known && request.method().equals(HttpMethod.HEAD);
    http10 = known && RequestHead.isHttp10(request);
    requestId = "";
    startNanos = System.nanoTime();
    received = false;
    lastWritten = false;
    answered = false;
    status = 0;
    bytes = 0;
  }

  private static String withoutQuery(String uri) {
    int query = uri.indexOf('?');
    return query < 0 ? uri : uri.substring(0, query);
  }

  private void send(ChannelHandlerContext ctx, Object msg, ChannelPromise promise) {
    if (phase == Phase.LINGERING) {
      ReferenceCountUtil.release(msg);
      promise.tryFailure(new ClosedChannelException());
      return;
    }
    Object sent = msg;
    if (msg instanceof HttpResponse response) {
      if (response.status().codeClass() == HttpStatusClass.INFORMATIONAL) {
        ChannelFuture _ = ctx.write(msg, promise);
        return;
      }
      status = response.status().code();
      String id = response.headers().get("x-request-id");
      requestId = id == null ? "" : id;
      // The server's version, not the request's, which some answers repeat.
      response.setProtocolVersion(HttpVersion.HTTP_1_1);
      if (http10 || connections.leaving()) {
        toldToClose = true;
        response.headers().set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE);
      }
      if (status >= 400 && !head && msg instanceof FullHttpResponse full && isBare(full)) {
        ApiException error = TransportError.bare(full.status());
        refused(error);
        FullHttpResponse said = TransportError.answer(error);
        said.headers().remove(HttpHeaderNames.CONNECTION).add(withoutFraming(full));
        full.release();
        sent = said;
      }
    }
    bytes += size(sent);
    if (sent instanceof LastHttpContent) {
      lastWritten = true;
      ChannelPromise last = promise.unvoid();
      ChannelFuture _ = last.addListener(done -> answered(ctx, done.isSuccess()));
      ChannelFuture _ = ctx.write(sent, last);
    } else {
      ChannelFuture _ = ctx.write(sent, promise);
    }
  }

  private static boolean isBare(FullHttpResponse response) {
    return !response.content().isReadable()
        && !response.headers().contains(HttpHeaderNames.CONTENT_TYPE);
  }

  private static HttpHeaders withoutFraming(FullHttpResponse full) {
    return full.headers()
        .copy()
        .remove(HttpHeaderNames.CONTENT_LENGTH)
        .remove(HttpHeaderNames.TRANSFER_ENCODING);
  }

  private static long size(Object msg) {
    return switch (msg) {
      case ByteBuf buffer -> buffer.readableBytes();
      case ByteBufHolder holder -> holder.content().readableBytes();
      default -> 0;
    };
  }

  private void answered(ChannelHandlerContext ctx, boolean complete) {
    if (phase != Phase.REQUEST || answered) {
      return;
    }
    answered = true;
    tell(complete);
    if (!received) {
      expire(limits.headTimeout());
    }
    // After what the server itself does when its answer is out.
    ctx.executor()
        .execute(
            () -> {
              becomeQuiet();
              release(ctx);
            });
  }

  private void becomeQuiet() {
    if (phase == Phase.REQUEST && answered && received) {
      phase = Phase.QUIET;
      if (!connections.leaving()) {
        expire(limits.idleTimeout());
      } else if (toldToClose && ahead.isEmpty()) {
        ChannelFuture _ = channel.close();
        return;
      } else {
        expire(LAST_REQUEST);
        reckon();
      }
      connections.idle(this);
    }
  }

  /** Lets the next request in that was sent ahead. */
  private void release(ChannelHandlerContext ctx) {
    boolean any = !ahead.isEmpty();
    while (!ahead.isEmpty()
        && !(ahead.peekFirst() instanceof HttpRequest && phase == Phase.REQUEST)
        && phase != Phase.LINGERING) {
      receive(ctx, ahead.removeFirst());
    }
    if (any) {
      ctx.fireChannelReadComplete();
    }
    if (ahead.isEmpty() && readWanted) {
      readWanted = false;
      ctx.read();
    }
  }

  /** Answers with an error of HTTP itself, past the server, and closes. */
  private void refuse(ApiException error) {
    if (phase != Phase.REQUEST) {
      method = "";
      path = "";
      requestId = "";
      startNanos = System.nanoTime();
    }
    refused(error);
    FullHttpResponse answer = TransportError.answer(error);
    status = error.status();
    bytes = answer.content().readableBytes();
    tell(true);
    phase = Phase.LINGERING;
    // In front of the codec, which may be in the middle of a request that it does not understand.
    ChannelFuture _ =
        Objects.requireNonNull(channel.pipeline().context(firstHandler))
            .writeAndFlush(encoded(answer))
            .addListener(written -> afterRefusal());
  }

  private void refused(ApiException error) {
    log.debug("Refused a request with {}: {}", error.status(), error.getMessage());
    listener.refused(error.status(), error.reason());
  }

  private void afterRefusal() {
    if (counted) {
      linger();
    } else {
      // It has no place to stay.
      ChannelFuture _ = channel.close();
    }
  }

  private static ByteBuf encoded(FullHttpResponse answer) {
    StringBuilder text = new StringBuilder();
    text.append("HTTP/1.1 ").append(answer.status()).append("\r\n");
    answer
        .headers()
        .forEach(h -> text.append(h.getKey()).append(": ").append(h.getValue()).append("\r\n"));
    text.append("\r\n");
    return Unpooled.wrappedBuffer(
        Unpooled.copiedBuffer(text, StandardCharsets.ISO_8859_1), answer.content());
  }

  /** Says that this was the last answer, and reads what the client still sends. */
  private void linger() {
    phase = Phase.LINGERING;
    dropAhead();
    expire(LINGER);
    channel.config().setAutoRead(true);
    if (channel.isActive() && channel instanceof DuplexChannel duplex) {
      SslHandler ssl = ssl();
      if (ssl == null) {
        ChannelFuture _ = duplex.shutdownOutput();
      } else {
        // Says first that this is the end, and not somebody who cut the answer off.
        ChannelFuture _ =
            ssl.closeOutbound()
                .addListener(
                    said -> {
                      ChannelFuture _ = duplex.shutdownOutput();
                    });
      }
    }
  }

  /** What secures the connection, or null. */
  private @Nullable SslHandler ssl() {
    return channel.pipeline().get(SslHandler.class);
  }

  /** Starts the deadline of the phase, or ends it with null. */
  private void expire(@Nullable Duration after) {
    Future<?> before = deadline;
    if (before != null) {
      before.cancel(false);
    }
    deadline =
        after == null
            ? null
            : channel.eventLoop().schedule(this::late, after.toNanos(), TimeUnit.NANOSECONDS);
  }

  private void late() {
    if (phase == Phase.HEAD) {
      refuse(TransportError.headTimeout(limits.headTimeout()));
    } else {
      phase = Phase.LINGERING;
      ChannelFuture _ = channel.close();
    }
  }

  private void tell(boolean complete) {
    listener.ended(
        new Exchange(
            requestId,
            method,
            path,
            status,
            bytes,
            Duration.ofNanos(System.nanoTime() - startNanos),
            complete));
  }

  private void closed() {
    expire(null);
    dropAhead();
    if (phase == Phase.REQUEST && !answered) {
      tell(false);
    }
    phase = Phase.LINGERING;
    connections.closed(this);
  }

  private void dropAhead() {
    ahead.forEach(ReferenceCountUtil::release);
    ahead.clear();
  }
}
