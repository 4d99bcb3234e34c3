package dev.kvdrive.cli.cluster;

import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.ConnectException;
import java.net.HttpURLConnection;
import java.net.UnknownHostException;
import java.net.http.HttpTimeoutException;
import java.nio.channels.UnresolvedAddressException;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/** What a failed question to the API server says, and the way out. */
final class Failure {
  private static final int MOST_CAUSES = 20;

  private Failure() {}

  /**
   * In one or two sentences.
   *
   * @param server address of the API server and the context that names it
   */
  static String words(Throwable failure, Ask ask, String server) {
    Integer code = code(failure);
    if (code != null && code == HttpURLConnection.HTTP_FORBIDDEN) {
      return ("you may not %s %s %s (RBAC: verb %s on resource %s is missing); ask whoever runs the cluster for"
              + " it ('kubectl auth whoami' says who you are taken for)")
          .formatted(ask.verb(), ask.named(), ask.where(), ask.verb(), ask.named());
    }
    if (code != null && code == HttpURLConnection.HTTP_UNAUTHORIZED) {
      return "%s does not know you (401 Unauthorized): the credentials of that context are none or have ended; log in again, or name another with --kubeconfig"
          .formatted(server);
    }
    @Nullable String silence = silence(failure);
    if (silence != null) {
      return "%s cannot be reached: %s; is its address right, and the way to it open (VPN, proxy)? Another kubeconfig or context goes with --kubeconfig and --kube-context"
          .formatted(server, silence);
    }
    return "%s refused to %s %s %s: %s"
        .formatted(server, ask.verb(), ask.named(), ask.where(), plain(failure));
  }

  /** The status with which the API server refused, if it did. */
  static @Nullable Integer code(Throwable failure) {
    Throwable cause = failure;
    for (int i = 0; cause != null && i < MOST_CAUSES; i++, cause = cause.getCause()) {
      if (cause instanceof KubernetesClientException refused && refused.getCode() > 0) {
        return refused.getCode();
      }
    }
    return null;
  }

  /** What the API server said, else what the failure says. */
  static String plain(Throwable failure) {
    Throwable last = failure;
    Throwable cause = failure;
    for (int i = 0; cause != null && i < MOST_CAUSES; i++, cause = cause.getCause()) {
      if (cause instanceof KubernetesClientException refused
          && refused.getStatus() != null
          && refused.getStatus().getMessage() != null) {
        return refused.getStatus().getMessage();
      }
      last = cause;
    }
    return last.getMessage() == null ? last.toString() : last.getMessage();
  }

  private static @Nullable String silence(Throwable failure) {
    Throwable cause = failure;
    for (int i = 0; cause != null && i < MOST_CAUSES; i++, cause = cause.getCause()) {
      switch (cause) {
        case UnknownHostException unknown -> {
          return "there is no host " + unknown.getMessage();
        }
        case UnresolvedAddressException _ -> {
          return "its host has no address";
        }
        case HttpTimeoutException _ -> {
          return "it did not answer in time";
        }
        case TimeoutException _ -> {
          return "it did not answer in time";
        }
        case ConnectException refused -> {
          return refused.getMessage() == null ? "nobody listens there" : refused.getMessage();
        }
        case SSLException tls -> {
          return "no agreement on TLS: " + tls.getMessage();
        }
        default -> {}
      }
    }
    return null;
  }
}
