package dev.kvdrive.operator;

import io.fabric8.kubernetes.client.extended.leaderelection.LeaderCallbacks;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What happens when this replica stops leading. If it was told to stop, nothing more. If it lost
 * the lease, the process ends at once, so that never two work; the framework's own way of ending,
 * {@code System.exit}, would wait for ever when it is the shutdown that gives the lease back.
 */
final class Lead {
  /** Exit code of a replica that lost its lease. */
  static final int LOST_EXIT_CODE = 3;

  private static final Logger log = LoggerFactory.getLogger(Lead.class);

  private final Runnable end;
  private volatile boolean leads;
  private volatile boolean givenUp;

  /**
   * @param end ends the process
   */
  Lead(Runnable end) {
    this.end = end;
  }

  /** The lease will be given back on purpose. */
  void giveUp() {
    givenUp = true;
  }

  /** Whether this replica has had the lease; one that lost it has ended. */
  boolean leads() {
    return leads;
  }

  LeaderCallbacks callbacks() {
    return new LeaderCallbacks(
        () -> {
          leads = true;
          log.info("This replica leads");
        },
        this::stopped,
        leader -> log.info("The leader is {}", leader));
  }

  private void stopped() {
    if (givenUp) {
      return;
    }
    log.error("The lease was lost; this replica ends, so that another can work");
    end.run();
  }
}
