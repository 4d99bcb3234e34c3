package dev.kvdrive.server.transport;

import io.netty.channel.Channel;
import io.netty.handler.ssl.SslHandler;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Secures connections with the certificate of the moment. Files that change are followed: new
 * connections get the new certificate, those that are open go on with theirs. The one owner of that
 * state; thread-safe.
 */
public final class Tls {
  private static final Logger log = LoggerFactory.getLogger(Tls.class);

  /** Share of its life before its end in which a certificate should have been renewed. */
  private static final int NEAR_ITS_END = 10;

  private final TlsFiles files;
  private final Clock clock;
  private final LongAdder failedHandshakes = new LongAdder();
  private final LongAdder reloads = new LongAdder();

  private volatile Used used;
  private volatile @Nullable String failure;

  private record Used(TlsFiles.Content content, TlsCertificate certificate) {}

  private Tls(TlsFiles files, Clock clock, Used used) {
    this.files = files;
    this.clock = clock;
    this.used = used;
  }

  /**
   * Reads the files.
   *
   * @throws IllegalArgumentException that names the setting, the file and what is wrong with it
   */
  public static Tls read(TlsFiles files, Clock clock) {
    TlsFiles.Content content = files.read();
    Tls tls =
        new Tls(
            files, clock, new Used(content, TlsCertificate.of(files, content, clock.instant())));
    log.info("TLS with the certificate for {}", tls.described());
    return tls;
  }

  /**
   * Takes over files that have changed. Files that are wrong change nothing: the certificate that
   * was read last stays, and {@link #trouble} says why.
   */
  public synchronized void reload() {
    try {
      TlsFiles.Content content = files.read();
      if (!content.equals(files.read())) {
        return; // Somebody is writing; the next look finds it done.
      }
      if (!content.equals(used.content())) {
        used = new Used(content, TlsCertificate.of(files, content, clock.instant()));
        reloads.increment();
        log.info("TLS certificate reloaded, for {}", described());
      }
      failure = null;
    } catch (RuntimeException e) {
      String now = String.valueOf(e.getMessage());
      if (!now.equals(failure)) {
        log.warn(
            "TLS certificate not reloaded, the earlier one, for {}, stays: {}", described(), now);
        failure = now;
      }
    }
  }

  private String described() {
    TlsCertificate certificate = used.certificate();
    return "%s, valid until %s".formatted(certificate.subject(), certificate.notAfter());
  }

  /** What whoever looks after the certificate should know, if anything. */
  public Optional<String> trouble() {
    String wrong = failure;
    Instant end = notAfter();
    if (wrong != null) {
      return Optional.of(
          "the TLS certificate was not reloaded, the earlier one, valid until %s, stays: %s"
              .formatted(end, wrong));
    }
    Instant now = clock.instant();
    if (now.isAfter(end)) {
      return Optional.of("the TLS certificate ended on " + end + "; renew it");
    }
    Duration life = Duration.between(used.certificate().notBefore(), end);
    return now.isAfter(end.minus(life.dividedBy(NEAR_ITS_END)))
        ? Optional.of("the TLS certificate ends on " + end + " and was not renewed yet")
        : Optional.empty();
  }

  /** When the certificate in use ends. */
  public Instant notAfter() {
    return used.certificate().notAfter();
  }

  /** Whether the files that are there are those in use. */
  public boolean isCurrent() {
    return failure == null;
  }

  /** How often changed files were taken over. */
  public long reloads() {
    return reloads.sum();
  }

  /** Connections that came to no agreement, a client's certificate that is none included. */
  public long failedHandshakes() {
    return failedHandshakes.sum();
  }

  /**
   * For a new connection, in front of everything else.
   *
   * @param timeout for the handshake
   */
  SslHandler handler(Channel channel, Duration timeout) {
    SslHandler handler = used.certificate().context().newHandler(channel.alloc());
    handler.setHandshakeTimeout(timeout.toNanos(), TimeUnit.NANOSECONDS);
    handler
        .handshakeFuture()
        .addListener(
            done -> {
              if (!done.isSuccess()) {
                failedHandshakes.increment();
                log.debug("No TLS connection: {}", String.valueOf(done.cause()));
              }
            });
    return handler;
  }
}
