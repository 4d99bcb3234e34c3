package dev.kvdrive.cli;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Watches a runtime's tier metrics and remembers their highest values. */
final class TierPeaks {
  /** Highest values of one tier. */
  record Peak(long kvBytes, long usedBytes, long capacityBytes) {
    Peak max(Peak other) {
      return new Peak(
          Math.max(kvBytes, other.kvBytes),
          Math.max(usedBytes, other.usedBytes),
          Math.max(capacityBytes, other.capacityBytes));
    }
  }

  private static final Duration PERIOD = Duration.ofMillis(500);
  private static final Pattern LINE =
      Pattern.compile("kvdrive_tier_(kv|used|capacity)_bytes\\{.*tier=\"(\\w+)\".*} (\\S+)");

  private final HttpClient http;
  private final URI metrics;
  private final Map<String, Peak> highest = new LinkedHashMap<>();
  private final Thread watcher;

  TierPeaks(HttpClient http, String base) {
    this.http = http;
    metrics = URI.create(base + "/metrics");
    for (String tier : new String[] {"gpu", "dram", "nvme"}) {
      highest.put(tier, new Peak(0, 0, 0));
    }
    watcher = Thread.ofPlatform().daemon().name("tier-peaks").start(this::watch);
  }

  private void watch() {
    try {
      while (!Thread.currentThread().isInterrupted()) {
        sample();
        synchronized (this) {
          wait(PERIOD.toMillis());
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void sample() throws InterruptedException {
    String text;
    try {
      HttpResponse<String> response =
          http.send(
              HttpRequest.newBuilder(metrics).timeout(PERIOD.multipliedBy(10)).build(),
              BodyHandlers.ofString());
      text = response.body();
    } catch (IOException e) {
      return; // the answer itself will tell what is wrong with the runtime
    }
    Matcher line = LINE.matcher(text);
    synchronized (this) {
      while (line.find()) {
        long bytes = (long) Double.parseDouble(line.group(3));
        Peak seen =
            switch (line.group(1)) {
              case "kv" -> new Peak(bytes, 0, 0);
              case "used" -> new Peak(0, bytes, 0);
              default -> new Peak(0, 0, bytes);
            };
        highest.merge(line.group(2), seen, Peak::max);
      }
    }
  }

  /** Ends the watching. */
  void stop() throws InterruptedException {
    watcher.interrupt();
    watcher.join();
  }

  /** By tier, in the order gpu, dram, nvme. */
  synchronized Map<String, Peak> highest() {
    return new LinkedHashMap<>(highest);
  }
}
