package dev.kvdrive.server.serving;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceMemoryException;
import dev.kvdrive.device.DeviceSoftwareException;
import dev.kvdrive.kv.tier.TierException;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.file.Printable;
import dev.kvdrive.model.source.ModelSourceException;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.InfeasiblePlanException;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.text.ChatTemplateException;
import dev.kvdrive.text.TokenizerException;
import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.bind.BindException;
import org.springframework.boot.context.properties.bind.UnboundConfigurationPropertiesException;
import org.springframework.boot.origin.Origin;
import org.springframework.boot.origin.PropertySourceOrigin;
import org.springframework.boot.web.server.PortInUseException;

/** Why a runtime did not start, in words for the one who configured it. */
public final class StartFailure extends RuntimeException {
  /** How the driver's names of its errors begin. */
  private static final String CUDA_ERROR = "CUDA_ERROR_";

  public StartFailure(String message) {
    super(message);
  }

  public StartFailure(String message, Throwable cause) {
    super(message, cause);
  }

  /**
   * Why a device cannot be opened. A GPU's reason has a word of its own, by which an operator tells
   * what to do.
   */
  public static RuntimeException ofDevice(DeviceKind kind, DeviceException failure) {
    if (kind != DeviceKind.CUDA) {
      return failure;
    }
    String words = failure.getMessage();
    return new StartFailure(
        switch (failure) {
          case DeviceMemoryException _ -> "GpuTooSmall: " + words;
          case DeviceSoftwareException _ ->
              "GpuUnusable: %s. In a container it is the image that comes without: it must be that for GPUs, runtime.image of the InferenceClass or runtime.cudaImage of the chart"
                  .formatted(words);
          default ->
              "GpuUnusable: %s. A container has the GPU and the driver that its node gives it: it must ask for a GPU, and the node's container runtime must be NVIDIA's"
                  .formatted(words);
        },
        failure);
  }

  /**
   * Why an engine that has served does not go on: the same text in log, health and termination log.
   *
   * @param words the engine's own
   */
  public static String ofEngine(String words) {
    return oneLine(
        words.contains(CUDA_ERROR)
            ? "GpuFailed: %s. The process must be restarted; if it fails again, look for Xid in the kernel log of its node, and take that out of service"
                .formatted(words)
            : "EngineFailed: " + words);
  }

  /** One line for the log, the termination log and the API. */
  public static String reason(Throwable failure) {
    UnboundConfigurationPropertiesException unbound =
        cause(failure, UnboundConfigurationPropertiesException.class);
    if (unbound != null) {
      return "unknown configuration: "
          + String.join(
              ", ",
              unbound.getUnboundProperties().stream()
                  .map(p -> p.getName() + " (" + p.getOrigin() + ")")
                  .toList());
    }
    BindException bind = cause(failure, BindException.class);
    if (bind != null) {
      String why = text(namesSetting(bind));
      if (bind.getProperty() == null) {
        return oneLine("configuration %s: %s".formatted(bind.getName(), why));
      }
      Origin origin = bind.getProperty().getOrigin();
      // A source without places of its own would be named by its class alone.
      boolean place =
          !(origin instanceof PropertySourceOrigin source) || source.getOrigin() != null;
      return oneLine(
          "configuration %s%s: %s"
              .formatted(bind.getName(), place ? " (" + origin + ")" : "", why));
    }
    PortInUseException taken = cause(failure, PortInUseException.class);
    if (taken != null) {
      return "port %d is in use by another program; choose one with server.port"
          .formatted(taken.getPort());
    }
    for (Throwable t = failure; t != null; t = t.getCause()) {
      if (isExpected(t)) {
        return oneLine(text(t));
      }
    }
    return oneLine("unexpected " + failure);
  }

  /** The failure itself if its stack trace is of use, null if its message says it all. */
  public static @Nullable Throwable unexpected(Throwable failure) {
    boolean expected = false;
    for (Throwable t = failure; t != null; t = t.getCause()) {
      if (t instanceof Error) {
        return failure;
      }
      expected |= isExpected(t);
    }
    return expected ? null : failure;
  }

  private static boolean isExpected(Throwable t) {
    return t instanceof StartFailure
        || t instanceof InfeasiblePlanException
        || t instanceof ModelFormatException
        || t instanceof ModelSourceException
        || t instanceof TokenizerException
        || t instanceof ChatTemplateException
        || t instanceof DeviceException
        || t instanceof TierException
        || t instanceof GenerationException
        || t instanceof IllegalArgumentException
        || t instanceof BindException
        || t instanceof PortInUseException
        || t instanceof IOException;
  }

  private static String text(Throwable t) {
    String message = t.getMessage();
    // The message of an IOException may be a mere name, of a host or a file.
    return message == null || message.isBlank() || t instanceof IOException
        ? t.toString()
        : message;
  }

  private static String oneLine(String text) {
    return Printable.of(text.strip().replaceAll("\\s*[\r\n]+\\s*", " "));
  }

  private static <T extends Throwable> @Nullable T cause(Throwable failure, Class<T> type) {
    for (Throwable t = failure; t != null; t = t.getCause()) {
      if (type.isInstance(t)) {
        return type.cast(t);
      }
    }
    return null;
  }

  /** What names the setting at fault, else the root: a value's own complaint may not know it. */
  private static Throwable namesSetting(Throwable failure) {
    for (Throwable t = failure.getCause(); t != null; t = t.getCause()) {
      if (t.getMessage() != null && t.getMessage().startsWith("kvdrive.")) {
        return t;
      }
    }
    return root(failure);
  }

  private static Throwable root(Throwable t) {
    Throwable root = t;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return root;
  }
}
