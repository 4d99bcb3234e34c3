package dev.kvdrive.model.source;

import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How to reach the hub.
 *
 * @param endpoint scheme and host, {@code https://huggingface.co} unless a mirror is used
 * @param token sent to the endpoint only, never to where it redirects; null for none
 * @param offline never use the network
 * @param connections downloads at the same time
 * @param pieceBytes length of one ranged request, and what a broken connection may cost
 * @param attempts how often a request is tried when the hub is overloaded or the connection breaks
 * @param firstPause pause before the second attempt; doubles with each, up to a minute
 * @param stall how long a connection may be silent before it counts as broken
 * @param network proxies and certificates on the way
 */
public record HubSettings(
    URI endpoint,
    @Nullable String token,
    boolean offline,
    int connections,
    int pieceBytes,
    int attempts,
    Duration firstPause,
    Duration stall,
    NetworkSettings network) {
  /** Where models are unless HF_ENDPOINT says otherwise. */
  public static final URI HUGGING_FACE = URI.create("https://huggingface.co");

  public HubSettings {
    String scheme = String.valueOf(endpoint.getScheme()).toLowerCase(Locale.ROOT);
    if (!(scheme.equals("https") || scheme.equals("http"))
        || endpoint.getHost() == null
        || endpoint.getUserInfo() != null
        || endpoint.getQuery() != null) {
      throw new ModelSourceException(
          "HF_ENDPOINT",
          "it must be an http or https address without user name or query",
          "write for instance https://huggingface.co");
    }
    if (token != null && scheme.equals("http") && !isLoopback(endpoint.getHost())) {
      throw new ModelSourceException(
          "HF_ENDPOINT",
          "the token would travel unencrypted to " + endpoint.getHost(),
          "use an https address, or unset HF_TOKEN");
    }
    if (token != null && !token.matches("[\\x21-\\x7e]{1,4096}")) {
      throw new ModelSourceException(
          "HF_TOKEN", "it has characters that no token has", "set it again, without line breaks");
    }
    if (connections < 1 || connections > 64 || pieceBytes < 1024 || attempts < 1 || attempts > 20) {
      throw new IllegalArgumentException(
          "connections must be 1 to 64, got %d; pieceBytes 1024 or more, got %d; attempts 1 to 20, got %d"
              .formatted(connections, pieceBytes, attempts));
    }
  }

  /** As above, with nothing in the way to the hub. */
  public HubSettings(
      URI endpoint,
      @Nullable String token,
      boolean offline,
      int connections,
      int pieceBytes,
      int attempts,
      Duration firstPause,
      Duration stall) {
    this(
        endpoint,
        token,
        offline,
        connections,
        pieceBytes,
        attempts,
        firstPause,
        stall,
        NetworkSettings.PLAIN);
  }

  /**
   * The settings that the variables of the hub's own tools ask for: HF_ENDPOINT, HF_TOKEN,
   * HF_HUB_OFFLINE, and those of {@link NetworkSettings#from}.
   */
  public static HubSettings from(Map<String, String> environment) {
    String endpoint = environment.getOrDefault("HF_ENDPOINT", "").strip();
    String token = environment.getOrDefault("HF_TOKEN", "").strip();
    String offline = environment.getOrDefault("HF_HUB_OFFLINE", "").strip();
    return new HubSettings(
        endpoint.isEmpty() ? HUGGING_FACE : endpoint(endpoint),
        token.isEmpty() ? null : token,
        offline.equals("1") || offline.equalsIgnoreCase("true") || offline.equalsIgnoreCase("yes"),
        4,
        16 << 20,
        6,
        Duration.ofSeconds(1),
        Duration.ofSeconds(60),
        NetworkSettings.from(environment));
  }

  /** Without the token. */
  @Override
  public String toString() {
    return "hub %s, %s token%s, %s"
        .formatted(endpoint, token == null ? "no" : "with", offline ? ", offline" : "", network);
  }

  private static URI endpoint(String text) {
    try {
      return new URI(text.replaceFirst("/+$", ""));
    } catch (URISyntaxException e) {
      throw new ModelSourceException(
          "HF_ENDPOINT", "it is no address", "write for instance https://huggingface.co");
    }
  }

  private static boolean isLoopback(String host) {
    return host.equals("localhost") || host.startsWith("127.") || host.equals("[::1]");
  }
}
