package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Skips tests where no GPU can be used and says why; with KVDRIVE_REQUIRE_GPU=true they run, and
 * fail.
 */
final class NeedsGpu implements ExecutionCondition {
  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    DeviceException why = CudaDevice.unavailable();
    if (why == null || Boolean.parseBoolean(System.getenv("KVDRIVE_REQUIRE_GPU"))) {
      return ConditionEvaluationResult.enabled("there is a GPU, or must be");
    }
    System.err.println("SKIPPED: tests on a GPU: " + why.getMessage());
    return ConditionEvaluationResult.disabled(why.getMessage());
  }
}
