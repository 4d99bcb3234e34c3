package dev.kvdrive.e2e;

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Scrapes a runtime over and over, and keeps the most bytes of keys and values that each tier held:
 * they are freed when a request ends, so that one scrape afterwards shows nothing.
 */
final class TierWatch implements AutoCloseable {
  private static final long PERIOD_MILLIS = 200;

  private final ScheduledExecutorService thread =
      Executors.newSingleThreadScheduledExecutor(Thread.ofPlatform().daemon().factory());
  private final Map<String, Double> peaks = new TreeMap<>();

  private TierWatch() {}

  static TierWatch start(Supplier<Exposition> scrape) {
    TierWatch watch = new TierWatch();
    var _ =
        watch.thread.scheduleWithFixedDelay(
            () -> watch.note(scrape.get()), 0, PERIOD_MILLIS, TimeUnit.MILLISECONDS);
    return watch;
  }

  private synchronized void note(Exposition exposition) {
    for (Exposition.Sample sample : exposition.samples()) {
      String tier = sample.labels().get("tier");
      if (sample.name().equals("kvdrive_tier_kv_bytes") && tier != null) {
        peaks.merge(tier, sample.value(), Math::max);
      }
    }
  }

  /** By the tier's name. */
  synchronized Map<String, Double> peaks() {
    return new TreeMap<>(peaks);
  }

  @Override
  public void close() {
    thread.shutdownNow();
  }
}
