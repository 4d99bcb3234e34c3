package dev.kvdrive.cli.status;

import java.time.Instant;

/**
 * One kind of report: looking and telling apart, so that a watch can tell whether anything but the
 * time has changed.
 *
 * @param <T> what one look brings
 */
interface View<T> {
  /** Looks at the cluster. */
  T look();

  /**
   * What was seen, in words.
   *
   * @param now from which ages are counted
   */
  String text(T seen, Instant now);
}
