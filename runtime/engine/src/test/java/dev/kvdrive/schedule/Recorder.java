package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Remembers what a listener was told, and checks that it is told in the order promised. */
final class Recorder implements GenerationListener {
  private static final int PATIENCE_SECONDS = 120;

  private final CountDownLatch end = new CountDownLatch(1);
  private final List<GeneratedToken> tokens = new ArrayList<>();
  private int prefills;
  private @Nullable String waited;
  private @Nullable Finish finish;
  private @Nullable GenerationException error;
  private @Nullable GenerationUsage tookUntilError;
  private @Nullable String broken;
  private Consumer<GeneratedToken> onToken = token -> {};
  private Runnable onPrefill = () -> {};
  private Runnable onEnd = () -> {};

  /** Runs on the engine's thread with each token. */
  Recorder onToken(Consumer<GeneratedToken> action) {
    onToken = action;
    return this;
  }

  /** Runs on the engine's thread after each prefill quantum. */
  Recorder onPrefill(Runnable action) {
    onPrefill = action;
    return this;
  }

  /** Runs on the engine's thread at the end. */
  Recorder onEnd(Runnable action) {
    onEnd = action;
    return this;
  }

  @Override
  public synchronized void onWait(String reason) {
    expect(waited == null && prefills == 0, "onWait after it was told so, or has begun");
    waited = reason;
  }

  /** What it was told to wait for; null if it was not. */
  synchronized @Nullable String waited() {
    return waited;
  }

  @Override
  public void onPrefill(long done, long total) {
    synchronized (this) {
      expect(finish == null && error == null && tokens.isEmpty(), "onPrefill after a token");
      expect(done > 0 && done <= total, "prefill of %d of %d".formatted(done, total));
      prefills++;
    }
    onPrefill.run();
  }

  @Override
  public void onToken(GeneratedToken token) {
    synchronized (this) {
      expect(finish == null && error == null, "onToken after the end");
      tokens.add(token);
    }
    onToken.accept(token);
  }

  @Override
  public void onFinish(Finish how) {
    synchronized (this) {
      expect(finish == null && error == null, "onFinish after the end");
      finish = how;
    }
    end.countDown();
    onEnd.run();
  }

  @Override
  public void onError(GenerationException why, GenerationUsage took) {
    synchronized (this) {
      expect(finish == null && error == null, "onError after the end");
      error = why;
      tookUntilError = took;
    }
    end.countDown();
    onEnd.run();
  }

  /** Nobody took the request, so that nobody else says so. */
  void refused(GenerationException why) {
    synchronized (this) {
      expect(finish == null && error == null, "refused after the end");
      error = why;
    }
    end.countDown();
    onEnd.run();
  }

  /** What it took until the error that it ended with. */
  synchronized GenerationUsage tookUntilError() {
    return Objects.requireNonNull(tookUntilError);
  }

  private void expect(boolean holds, String otherwise) {
    if (!holds && broken == null) {
      broken = otherwise;
    }
  }

  /** Waits for the end. */
  Recorder await() {
    try {
      assertThat(end.await(PATIENCE_SECONDS, TimeUnit.SECONDS)).as("the generation ends").isTrue();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(e);
    }
    return checked();
  }

  /** Checks the order of what was told. */
  synchronized Recorder checked() {
    assertThat(broken).isNull();
    return this;
  }

  synchronized boolean ended() {
    return finish != null || error != null;
  }

  synchronized int prefills() {
    return prefills;
  }

  synchronized List<GeneratedToken> tokens() {
    return List.copyOf(tokens);
  }

  synchronized int[] ids() {
    return tokens.stream().mapToInt(GeneratedToken::id).toArray();
  }

  /** All text, that of the end included. */
  synchronized String text() {
    StringBuilder text = new StringBuilder();
    tokens.forEach(token -> text.append(token.text()));
    return text.append(finish().text()).toString();
  }

  synchronized Finish finish() {
    if (error != null) {
      throw new AssertionError("ended with an error", error);
    }
    return Objects.requireNonNull(finish, "has not ended");
  }

  synchronized @Nullable GenerationException error() {
    return error;
  }

  /** The error that ended it. */
  synchronized GenerationException failure() {
    return Objects.requireNonNull(error, "has not failed");
  }
}
