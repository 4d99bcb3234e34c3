package dev.kvdrive.server.tracing;

import org.springframework.context.annotation.Condition;
import org.springframework.context.annotation.ConditionContext;
import org.springframework.core.type.AnnotatedTypeMetadata;

/** Where requests are traced. */
final class OnTracing implements Condition {
  @Override
  public boolean matches(ConditionContext context, AnnotatedTypeMetadata metadata) {
    return TracingSettings.isOn(context.getEnvironment());
  }
}
