package dev.kvdrive.operator.status;

import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.api.model.StatusCause;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.ConnectException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.net.http.HttpTimeoutException;
import java.nio.channels.UnresolvedAddressException;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a failure says, the same in conditions, events and the log: the API server's own words where
 * there are some, without the address they came from, else what kept it from answering.
 */
public final class FailureWords {
  private static final int MOST_CAUSES = 20;

  private FailureWords() {}

  /** In one sentence, never empty. */
  public static String of(Throwable failure) {
    Throwable last = failure;
    Throwable cause = failure;
    for (int i = 0; cause != null && i < MOST_CAUSES; i++, cause = cause.getCause()) {
      if (cause instanceof KubernetesClientException refused && refused.getStatus() != null) {
        return words(refused.getStatus());
      }
      if (isSilence(cause)) {
        return "the API server did not answer in time; it, or the node of the operator, has too much"
            + " to do";
      }
      if (isNoWay(cause)) {
        return "the API server cannot be reached"
            + (cause.getMessage() == null ? "" : ": " + cause.getMessage());
      }
      last = cause;
    }
    return Stream.of(last.getMessage(), failure.getMessage())
        .filter(text -> text != null && !text.isBlank())
        .findFirst()
        .orElseGet(last::toString);
  }

  /** Whether no answer came from the API server. */
  static boolean meansNoAnswer(Throwable failure) {
    Throwable cause = failure;
    for (int i = 0; cause != null && i < MOST_CAUSES; i++, cause = cause.getCause()) {
      if (isSilence(cause) || isNoWay(cause)) {
        return true;
      }
    }
    return false;
  }

  private static boolean isSilence(Throwable cause) {
    return cause instanceof TimeoutException
        || cause instanceof HttpTimeoutException
        || cause instanceof SocketTimeoutException;
  }

  private static boolean isNoWay(Throwable cause) {
    return cause instanceof ConnectException
        || cause instanceof UnknownHostException
        || cause instanceof UnresolvedAddressException;
  }

  private static String words(Status status) {
    String message = Objects.requireNonNullElse(status.getMessage(), "");
    List<StatusCause> more =
        status.getDetails() == null || status.getDetails().getCauses() == null
            ? List.of()
            : status.getDetails().getCauses();
    String rest =
        more.stream()
            .filter(c -> c.getMessage() != null && !message.contains(c.getMessage()))
            .map(c -> c.getField() == null ? c.getMessage() : c.getField() + ": " + c.getMessage())
            .collect(Collectors.joining(", "));
    String reason =
        status.getReason() == null || status.getReason().isEmpty()
            ? "status " + status.getCode()
            : status.getReason();
    return Stream.of(reason, message, rest)
        .filter(part -> !part.isEmpty())
        .collect(Collectors.joining(": "));
  }
}
