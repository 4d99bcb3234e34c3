package dev.kvdrive.device;

/**
 * This program comes without what a device needs, whatever the machine has: another build, or
 * another image, is the way out.
 */
public final class DeviceSoftwareException extends DeviceException {
  public DeviceSoftwareException(String message) {
    super(message);
  }
}
