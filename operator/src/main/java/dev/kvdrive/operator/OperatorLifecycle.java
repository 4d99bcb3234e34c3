package dev.kvdrive.operator;

import io.javaoperatorsdk.operator.Operator;
import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.context.SmartLifecycle;

/**
 * Starts and stops the operator with the application, and says whether its watches are alive. A
 * standby that waits for the lead has no watches and is healthy.
 */
final class OperatorLifecycle implements SmartLifecycle, HealthIndicator {
  private final Operator operator;
  private final Lead lead;
  private volatile boolean running;

  OperatorLifecycle(Operator operator, Lead lead) {
    this.operator = operator;
    this.lead = lead;
  }

  @Override
  public void start() {
    operator.start();
    running = true;
  }

  @Override
  public void stop() {
    running = false;
    lead.giveUp();
    operator.stop();
  }

  @Override
  public boolean isRunning() {
    return running;
  }

  @Override
  public Health health() {
    var runtime = operator.getRuntimeInfo();
    if (!running || runtime.allEventSourcesAreHealthy()) {
      return Health.up().withDetail("started", runtime.isStarted()).build();
    }
    return Health.down()
        .withDetail("unhealthy", runtime.unhealthyEventSources().keySet().toString())
        .build();
  }
}
