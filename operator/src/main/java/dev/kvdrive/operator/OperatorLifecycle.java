package dev.kvdrive.operator;

import io.javaoperatorsdk.operator.Operator;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.context.SmartLifecycle;

/**
 * Starts and stops the operator with the application, and says whether its watches are alive. What
 * cannot be read for the time being is no reason for a new process, which could not read it either.
 */
final class OperatorLifecycle implements SmartLifecycle, HealthIndicator {
  private static final Duration REPORTS = Duration.ofSeconds(10);

  private final Operator operator;
  private final Lead lead;
  private final OperatorLease lease;
  private final Watches watches;
  private final Runnable beforeStop;
  private final ScheduledExecutorService reports =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().daemon().name("watch-reports").factory());
  private volatile @Nullable ScheduledFuture<?> reporting;
  private volatile boolean running;

  /**
   * @param beforeStop done before anything is broken off
   */
  OperatorLifecycle(
      Operator operator, Lead lead, OperatorLease lease, Watches watches, Runnable beforeStop) {
    this.beforeStop = beforeStop;
    this.operator = operator;
    this.lead = lead;
    this.lease = lease;
    this.watches = watches;
  }

  @Override
  public void start() {
    operator.start();
    watches.started();
    reporting =
        reports.scheduleWithFixedDelay(this::report, 0, REPORTS.toMillis(), TimeUnit.MILLISECONDS);
    running = true;
  }

  @Override
  public void stop() {
    running = false;
    beforeStop.run();
    ScheduledFuture<?> last = reporting;
    if (last != null) {
      last.cancel(true);
    }
    reports.shutdown();
    watches.stopped();
    lead.giveUp();
    operator.stop();
    if (lead.leads()) {
      lease.giveBack();
    }
  }

  private void report() {
    if (lead.leads()) {
      lease.belongToAccount();
    }
    watches.report();
  }

  @Override
  public boolean isRunning() {
    return running;
  }

  @Override
  public Health health() {
    List<String> dead = watches.dead();
    return dead.isEmpty()
        ? Health.up().withDetail("started", running).build()
        : Health.down().withDetail("stopped", dead.toString()).build();
  }
}
