package dev.kvdrive.model.source;

import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.cert.CertPathBuilderException;
import java.security.cert.CertificateException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Speaks to the hub. Redirects are followed here and not by the JDK, so that the token reaches the
 * endpoint and nobody else. {@link HttpURLConnection} is used because its read timeout ends a
 * connection that has gone silent in the middle of a body, which the newer client's does not.
 */
final class HubClient {
  private static final int MAX_LISTING_BYTES = 64 << 20;
  private static final int MAX_FILES = 20_000;
  private static final int MAX_REDIRECTS = 8;
  private static final Duration CONNECT = Duration.ofSeconds(15);
  private static final Duration LONGEST_PAUSE = Duration.ofMinutes(1);
  private static final JsonMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(64)
                          .maxStringLength(8 << 20)
                          .build())
                  .build())
          .build();

  private final HubSettings settings;
  private final Connections connections;
  private final CountDownLatch cancelled = new CountDownLatch(1);

  HubClient(HubSettings settings) {
    this.settings = settings;
    this.connections = new Connections(settings.network());
  }

  /** Makes every pause end at once and every further attempt fail. */
  void cancel() {
    cancelled.countDown();
  }

  /** An answer whose body is read as it arrives. */
  record Answer(
      int status,
      long bytes,
      @Nullable String contentRange,
      @Nullable String retryAfter,
      InputStream body)
      implements AutoCloseable {
    @Override
    public void close() throws IOException {
      body.close();
    }
  }

  /** Uses an answer; an IOException makes the request be tried again. */
  @FunctionalInterface
  interface Reader<T> {
    T read(Answer answer) throws IOException;
  }

  /** The files of a repository at a revision. */
  HubListing listing(HubReference ref) {
    String path =
        "/api/models/%s/revision/%s?blobs=true"
            .formatted(ref.id(), URLEncoder.encode(ref.revision(), StandardCharsets.UTF_8));
    JsonNode node =
        get(
            ref,
            path,
            null,
            a -> {
              byte[] bytes = a.body().readNBytes(MAX_LISTING_BYTES + 1);
              if (bytes.length > MAX_LISTING_BYTES) {
                throw strange(ref, "its list of files is longer than 64 MiB");
              }
              try {
                return JSON.readTree(bytes);
              } catch (JacksonException e) {
                throw strange(ref, "its list of files is not valid JSON");
              }
            });
    String commit = node.path("sha").asString("");
    JsonNode siblings = node.path("siblings");
    if (!HubReference.isCommit(commit) || !siblings.isArray() || siblings.size() > MAX_FILES) {
      throw strange(ref, "its answer names no commit and no files");
    }
    List<HubFile> files = new ArrayList<>();
    for (JsonNode s : siblings) {
      String name = s.path("rfilename").asString("");
      if (HubReference.isSafeFile(name)) {
        String sha256 = s.path("lfs").path("sha256").asString("");
        String hash = sha256.isEmpty() ? s.path("blobId").asString("") : sha256;
        long size = s.path("lfs").path("size").asLong(s.path("size").asLong(-1));
        if (!hash.matches("[0-9a-f]{40}|[0-9a-f]{64}") || size < 0) {
          throw strange(ref, "it gives no size and checksum for " + name);
        }
        files.add(new HubFile(name, size, hash));
      }
    }
    return new HubListing(commit, files);
  }

  /**
   * Reads a file, or a range of it.
   *
   * @param range for instance {@code bytes=0-99}, or null for all of it
   */
  <T> T file(HubReference ref, String commit, String name, @Nullable String range, Reader<T> use) {
    return get(ref, "/%s/resolve/%s/%s".formatted(ref.id(), commit, name), range, use);
  }

  private <T> T get(HubReference ref, String path, @Nullable String range, Reader<T> use) {
    Duration pause = settings.firstPause();
    for (int attempt = 1; ; attempt++) {
      Failure failure;
      try (Answer answer = open(ref, path, range)) {
        if (answer.status() == 200 || answer.status() == 206) {
          return use.read(answer);
        }
        failure = refused(ref, answer);
      } catch (IOException e) {
        failure = new Failure(unreachable(ref, attempt, e), null);
      }
      if (attempt == settings.attempts() || !failure.error.retryable()) {
        throw failure.error;
      }
      Duration wait = failure.after == null ? pause : failure.after;
      pause(ref, wait.compareTo(LONGEST_PAUSE) > 0 ? LONGEST_PAUSE : wait);
      pause = pause.multipliedBy(2);
    }
  }

  private record Failure(ModelSourceException error, @Nullable Duration after) {}

  private void pause(HubReference ref, Duration wait) {
    boolean stop;
    try {
      stop = cancelled.await(wait.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      stop = true;
    }
    if (stop) {
      throw new ModelSourceException(
          ref.toString(), "the download was stopped", "start it again: it goes on where it was");
    }
  }

  private Answer open(HubReference ref, String path, @Nullable String range) throws IOException {
    URI endpoint = settings.endpoint();
    URI at = URI.create(endpoint + path);
    for (int i = 0; i <= MAX_REDIRECTS; i++) {
      HttpURLConnection c = connections.open(at);
      c.setInstanceFollowRedirects(false);
      c.setConnectTimeout((int) CONNECT.toMillis());
      c.setReadTimeout((int) settings.stall().toMillis());
      c.setUseCaches(false);
      c.setRequestProperty("User-Agent", "kvdrive");
      c.setRequestProperty("Accept-Encoding", "identity");
      if (range != null) {
        c.setRequestProperty("Range", range);
      }
      if (settings.token() != null && sameOrigin(at, endpoint)) {
        requireEncrypted(at);
        c.setRequestProperty("Authorization", "Bearer " + settings.token());
      }
      int status = c.getResponseCode();
      if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) {
        at = redirected(ref, at, c.getHeaderField("Location"));
        c.disconnect();
        continue;
      }
      InputStream body = status < 400 ? c.getInputStream() : c.getErrorStream();
      return new Answer(
          status,
          c.getContentLengthLong(),
          c.getHeaderField("Content-Range"),
          c.getHeaderField("Retry-After"),
          body == null ? InputStream.nullInputStream() : body);
    }
    throw strange(ref, "it redirects more than " + MAX_REDIRECTS + " times");
  }

  private static boolean sameOrigin(URI a, URI b) {
    return a.getScheme().equalsIgnoreCase(b.getScheme())
        && a.getHost().equalsIgnoreCase(b.getHost())
        && Connections.port(a) == Connections.port(b);
  }

  /** An http endpoint is on this machine, but the way to it may lead through another. */
  private void requireEncrypted(URI at) {
    if (at.getScheme().equalsIgnoreCase("http") && connections.proxy(at) != null) {
      throw new ModelSourceException(
          "HTTP_PROXY",
          "the token would travel unencrypted to the proxy",
          "add %s to NO_PROXY, or unset HF_TOKEN".formatted(at.getHost()));
    }
  }

  private static URI redirected(HubReference ref, URI from, @Nullable String location) {
    try {
      URI to = from.resolve(new URI(location == null ? "" : location));
      String scheme = String.valueOf(to.getScheme()).toLowerCase(Locale.ROOT);
      boolean safe = scheme.equals("https") || scheme.equals(from.getScheme());
      if (safe && to.getHost() != null && location != null) {
        return to;
      }
    } catch (URISyntaxException e) {
      // falls through to the error below
    }
    throw strange(ref, "it redirects to something that is no safe address");
  }

  private Failure refused(HubReference ref, Answer answer) {
    String uri = ref.toString();
    int status = answer.status();
    boolean anonymous = settings.token() == null;
    String web = settings.endpoint() + "/" + ref.id();
    ModelSourceException error =
        switch (status) {
          case 401 ->
              new ModelSourceException(
                  uri,
                  anonymous
                      ? "the hub wants a token (401): the model is private or gated, or does not"
                          + " exist"
                      : "the hub does not accept the token (401)",
                  anonymous
                      ? "check the name, and set HF_TOKEN to a token that may read it"
                      : "check that HF_TOKEN is valid and may read " + ref.id());
          case 403 ->
              new ModelSourceException(
                  uri,
                  "the hub forbids the download (403)",
                  "accept the model's licence at " + web + " with the account of HF_TOKEN");
          case 404 ->
              new ModelSourceException(
                  uri,
                  "the hub has no such model, revision or file (404)",
                  "compare the address with " + web);
          case 407 -> proxyRefused(ref, status);
          case 429, 500, 502, 503, 504 ->
              new ModelSourceException(
                  uri,
                  "the hub is overloaded or failing (%d), also after %d attempts"
                      .formatted(status, settings.attempts()),
                  "try again later: the download goes on where it was",
                  true,
                  null);
          default ->
              new ModelSourceException(
                  uri, "the hub answered with status " + status, "compare with " + web);
        };
    Duration after = null;
    String header = answer.retryAfter();
    if (header != null && header.matches("[0-9]{1,6}")) {
      after = Duration.ofSeconds(Long.parseLong(header));
    }
    return new Failure(error, after);
  }

  private static ModelSourceException proxyRefused(HubReference ref, int status) {
    return new ModelSourceException(
        ref.toString(),
        status == 407
            ? "the proxy wants user and password, or others (407)"
            : "the proxy refuses the connection to the hub (%d)".formatted(status),
        status == 407
            ? "write them into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT, percent-encoded"
            : "have the proxy let it through, or name what needs no proxy in NO_PROXY",
        status >= 500,
        null);
  }

  private ModelSourceException unreachable(HubReference ref, int attempts, IOException e) {
    if (e instanceof ProxyTunnel.Refusal refusal) {
      return proxyRefused(ref, refusal.status());
    }
    if (isUntrusted(e)) {
      return new ModelSourceException(
          ref.toString(),
          "whoever answers as %s has a certificate that is not trusted (%s)"
              .formatted(settings.endpoint().getHost(), e.getMessage()),
          "if this network has a certificate authority of its own, name the file of its"
              + " certificates in SSL_CERT_FILE",
          false,
          e);
    }
    ProxyAddress proxy = connections.proxy(settings.endpoint());
    return new ModelSourceException(
        ref.toString(),
        "the hub at %s cannot be reached%s or breaks off (%s: %s), after %d attempts"
            .formatted(
                settings.endpoint().getHost(),
                proxy == null ? "" : " through the proxy " + proxy,
                e.getClass().getSimpleName(),
                e.getMessage(),
                attempts),
        "check the network, HF_ENDPOINT and HTTPS_PROXY; without a network, download the model"
            + " elsewhere and give its path, or use builtin:kvdrive-tiny-32k",
        true,
        e);
  }

  private static boolean isUntrusted(Throwable e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof CertificateException || cause instanceof CertPathBuilderException) {
        return true;
      }
    }
    return false;
  }

  static ModelSourceException strange(HubReference ref, String what) {
    return new ModelSourceException(
        ref.toString(),
        "the hub answers in an unexpected way: " + what,
        "check HF_ENDPOINT; or download the model by other means and give its path");
  }
}
