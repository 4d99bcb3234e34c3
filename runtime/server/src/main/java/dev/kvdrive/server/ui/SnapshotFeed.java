package dev.kvdrive.server.ui;

import dev.kvdrive.server.openai.Json;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import reactor.core.publisher.Flux;
import reactor.core.publisher.FluxSink;

/**
 * Makes snapshots while somebody watches, one for all of them, as server-sent events. A watcher
 * that has not taken the last one misses the next; one that misses too many in a row is dropped.
 * Thread-safe.
 */
public final class SnapshotFeed implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(SnapshotFeed.class);

  /** Between two snapshots. */
  public static final Duration EVERY = Duration.ofMillis(250);

  /** Pages that may watch at once. */
  public static final int MOST_WATCHERS = 8;

  /** Snapshots that a watcher may miss in a row: 5 seconds. */
  static final int MOST_MISSED = 20;

  private static final byte[] DATA = "data: ".getBytes(StandardCharsets.UTF_8);
  private static final byte[] END = "\n\n".getBytes(StandardCharsets.UTF_8);

  private final Snapshots snapshots;
  private final Json json = new Json(1 << 10);
  private final ScheduledExecutorService thread =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().name("ui").daemon(true).factory());
  private final List<Watcher> watchers = new ArrayList<>();
  private @Nullable ScheduledFuture<?> ticking;

  public SnapshotFeed(Snapshots snapshots) {
    this.snapshots = snapshots;
  }

  /** Somebody who watches, until it is closed. */
  public final class Watcher {
    private @Nullable FluxSink<byte[]> sink;
    private Runnable onDrop = () -> {};
    private int missed;
    private boolean ended;

    private Watcher() {}

    /** The snapshots, each a whole event; to be read once. Ends when the runtime does. */
    public Flux<byte[]> events() {
      return Flux.create(this::begin, FluxSink.OverflowStrategy.IGNORE);
    }

    /** What is run when it does not read: its events have ended, but it may never know. */
    public synchronized void onDrop(Runnable action) {
      onDrop = action;
    }

    private synchronized void begin(FluxSink<byte[]> to) {
      sink = to;
      if (ended) {
        to.complete();
      }
    }

    private synchronized void offer(byte[] event) {
      FluxSink<byte[]> to = sink;
      if (to == null || ended) {
        return;
      }
      if (to.requestedFromDownstream() > 0) {
        missed = 0;
        to.next(event);
      } else if (++missed > MOST_MISSED) {
        close();
        onDrop.run();
      }
    }

    private synchronized void end() {
      ended = true;
      if (sink != null) {
        sink.complete();
      }
    }

    /** It watches no more. Idempotent. */
    public void close() {
      leave(this);
      end();
    }
  }

  /** Lets one more watch; empty if there are too many. Whoever got a watcher closes it. */
  public synchronized Optional<Watcher> watch() {
    if (watchers.size() >= MOST_WATCHERS) {
      return Optional.empty();
    }
    Watcher watcher = new Watcher();
    watchers.add(watcher);
    if (ticking == null) {
      ticking = thread.scheduleAtFixedRate(this::tick, 0, EVERY.toMillis(), TimeUnit.MILLISECONDS);
    }
    return Optional.of(watcher);
  }

  /** How many watch. */
  public synchronized int watchers() {
    return watchers.size();
  }

  private synchronized void leave(Watcher watcher) {
    watchers.remove(watcher);
    ScheduledFuture<?> going = ticking;
    if (watchers.isEmpty() && going != null) {
      going.cancel(false);
      ticking = null;
    }
  }

  private synchronized List<Watcher> all() {
    return List.copyOf(watchers);
  }

  private void tick() {
    try {
      Snapshot snapshot = snapshots.now();
      byte[] event = event(snapshot);
      all().forEach(watcher -> watcher.offer(event));
      if (snapshot.state().equals("draining")) {
        all().forEach(Watcher::close);
      }
    } catch (RuntimeException e) {
      log.error("The page cannot be told what the runtime does", e);
      all().forEach(Watcher::close);
    }
  }

  private byte[] event(Snapshot snapshot) {
    ByteArrayOutputStream event = new ByteArrayOutputStream();
    event.writeBytes(DATA);
    event.writeBytes(json.write(snapshot));
    event.writeBytes(END);
    return event.toByteArray();
  }

  /** Ends what is watched. */
  @Override
  public void close() {
    thread.shutdownNow();
    all().forEach(Watcher::close);
  }
}
