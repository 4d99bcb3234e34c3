package dev.kvdrive.server.serving;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.plan.InfeasiblePlanException;
import dev.kvdrive.text.ChatTemplateException;
import dev.kvdrive.text.TokenizerException;
import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.bind.BindException;
import org.springframework.boot.context.properties.bind.UnboundConfigurationPropertiesException;

/** Why a runtime did not start, in words for the one who configured it. */
public final class StartFailure extends RuntimeException {
  public StartFailure(String message) {
    super(message);
  }

  public StartFailure(String message, Throwable cause) {
    super(message, cause);
  }

  /** One text for the log, the termination log and the API. */
  public static String reason(Throwable failure) {
    for (Throwable t = failure; t != null; t = t.getCause()) {
      if (t instanceof UnboundConfigurationPropertiesException unbound) {
        return "unknown configuration: "
            + String.join(
                ", ",
                unbound.getUnboundProperties().stream()
                    .map(p -> p.getName() + " (" + p.getOrigin() + ")")
                    .toList());
      }
      if (t instanceof BindException bind) {
        Throwable root = root(bind);
        String value =
            bind.getProperty() == null ? "" : " (" + bind.getProperty().getOrigin() + ")";
        return "configuration %s%s: %s".formatted(bind.getName(), value, message(root));
      }
    }
    for (Throwable t = failure; t != null; t = t.getCause()) {
      if (isExpected(t)) {
        return message(t);
      }
    }
    return "unexpected " + failure;
  }

  /** The failure itself if its stack trace is of use, null if its message says it all. */
  public static @Nullable Throwable unexpected(Throwable failure) {
    for (Throwable t = failure; t != null; t = t.getCause()) {
      if (isExpected(t)) {
        return null;
      }
    }
    return failure;
  }

  private static boolean isExpected(Throwable t) {
    return t instanceof StartFailure
        || t instanceof InfeasiblePlanException
        || t instanceof ModelFormatException
        || t instanceof TokenizerException
        || t instanceof ChatTemplateException
        || t instanceof DeviceException
        || t instanceof IllegalArgumentException
        || t instanceof BindException
        || t instanceof IOException;
  }

  private static String message(Throwable t) {
    String message = t.getMessage();
    return message == null || message.isBlank() ? t.toString() : message;
  }

  private static Throwable root(Throwable t) {
    Throwable root = t;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return root;
  }
}
