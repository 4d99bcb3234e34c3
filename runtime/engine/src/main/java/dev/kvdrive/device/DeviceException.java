package dev.kvdrive.device;

/** A device cannot do what was asked; the message names cause, value and way out. */
public class DeviceException extends RuntimeException {
  public DeviceException(String message) {
    super(message);
  }

  public DeviceException(String message, Throwable cause) {
    super(message, cause);
  }
}
