package dev.kvdrive.operator.status;

/**
 * What one look at the cluster says about one condition.
 *
 * @param type of the condition
 * @param truth its status
 * @param reason CamelCase
 * @param message for people
 * @param stalled whether waiting will not help
 */
record Finding(String type, Truth truth, String reason, String message, boolean stalled) {
  /** Status of a condition. */
  enum Truth {
    TRUE("True"),
    FALSE("False"),
    UNKNOWN("Unknown");

    private final String text;

    Truth(String text) {
      this.text = text;
    }

    /** As Kubernetes writes it. */
    String text() {
      return text;
    }
  }

  /** Most characters of a message; a log's tail in it must not fill the status. */
  private static final int MOST_MESSAGE = 2048;

  Finding {
    if (message.length() > MOST_MESSAGE) {
      message = message.substring(0, MOST_MESSAGE - 1) + "…";
    }
  }

  static Finding holds(String type, String reason, String message) {
    return new Finding(type, Truth.TRUE, reason, message, false);
  }

  /** Does not hold yet. */
  static Finding waiting(String type, String reason, String message) {
    return new Finding(type, Truth.FALSE, reason, message, false);
  }

  /** Does not hold, and waiting will not help. */
  static Finding stuck(String type, String reason, String message) {
    return new Finding(type, Truth.FALSE, reason, message, true);
  }

  static Finding unknown(String type, String reason, String message) {
    return new Finding(type, Truth.UNKNOWN, reason, message, false);
  }

  /** The same, and {@code more} after its message, however long that is. */
  Finding with(String more) {
    int room = MOST_MESSAGE - more.length();
    String kept = message.length() <= room ? message : message.substring(0, room - 1) + "…";
    return new Finding(type, truth, reason, kept + more, stalled);
  }

  boolean isTrue() {
    return truth == Truth.TRUE;
  }
}
