package dev.kvdrive.e2e;

import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.BeforeTestExecutionCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.TestWatcher;

/** Says of each chapter how it ended and how long it took, a line each. */
final class Chronicle implements BeforeTestExecutionCallback, TestWatcher {
  private long began = System.nanoTime();

  @Override
  public void beforeTestExecution(ExtensionContext context) {
    began = System.nanoTime();
  }

  @Override
  public void testSuccessful(ExtensionContext context) {
    say("PASS", context);
  }

  @Override
  public void testFailed(ExtensionContext context, @Nullable Throwable cause) {
    say("FAIL", context);
  }

  @Override
  public void testAborted(ExtensionContext context, @Nullable Throwable cause) {
    say("SKIP", context);
    if (cause != null) {
      System.out.println("      " + cause.getMessage());
    }
  }

  @Override
  public void testDisabled(ExtensionContext context, Optional<String> reason) {
    say("SKIP", context);
  }

  private void say(String outcome, ExtensionContext context) {
    System.out.printf(
        "%s  %s (%d s)%n",
        outcome, inWords(context.getRequiredTestMethod().getName()), seconds(began));
  }

  private static long seconds(long since) {
    return TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - since);
  }

  /** {@code killsAPod} as {@code kills a pod}. */
  static String inWords(String name) {
    return name.replaceAll("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ")
        .toLowerCase(Locale.ROOT);
  }
}
