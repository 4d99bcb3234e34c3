package dev.kvdrive.server.gpu;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The cards of this process and what they told last. They are asked every few seconds by a thread
 * of its own, so that no request waits for a card; where there is no library of the driver there
 * are none. Thread-safe.
 */
public final class Gpus implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Gpus.class);

  /** Less than any scrape interval; a card answers in a millisecond. */
  private static final Duration INTERVAL = Duration.ofSeconds(5);

  private static final Duration END = Duration.ofSeconds(1);

  private final List<Gpu> cards = new ArrayList<>();
  private final Optional<Nvml> nvml;
  private final Thread thread;

  /** A card. */
  public static final class Gpu {
    private final Nvml.Card card;
    private volatile GpuFacts facts;

    private Gpu(Nvml.Card card, GpuFacts facts) {
      this.card = card;
      this.facts = facts;
    }

    /** Its number in the driver's order. */
    public int index() {
      return card.index();
    }

    /** The driver's name of it, for instance {@code GPU-...}; empty if it tells none. */
    public String uuid() {
      return card.uuid();
    }

    /** For instance {@code NVIDIA H200}; empty if it tells none. */
    public String product() {
      return card.product();
    }

    /** What it told last. */
    public GpuFacts facts() {
      return facts;
    }
  }

  private Gpus(Optional<Nvml> nvml, Duration interval) {
    this.nvml = nvml;
    nvml.ifPresent(
        library -> library.cards().forEach(card -> cards.add(new Gpu(card, library.facts(card)))));
    this.thread = Thread.ofPlatform().name("gpu-facts").daemon(true).unstarted(() -> run(interval));
    if (!cards.isEmpty()) {
      thread.start();
    }
  }

  /** No cards, for who uses none. */
  public static Gpus none() {
    return new Gpus(Optional.empty(), INTERVAL);
  }

  /** Those that the driver of this machine shows. */
  public static Gpus here() {
    return of(Nvml.LIBRARY, INTERVAL);
  }

  /** Those of a library, asked so often. */
  static Gpus of(String library, Duration interval) {
    Gpus gpus = new Gpus(Nvml.open(library), interval);
    log.debug("{} shows {} GPUs", library, gpus.cards.size());
    return gpus;
  }

  /** The cards, in the driver's order. */
  public List<Gpu> cards() {
    return List.copyOf(cards);
  }

  private void run(Duration interval) {
    try {
      while (true) {
        Thread.sleep(interval);
        nvml.ifPresent(library -> cards.forEach(gpu -> gpu.facts = library.facts(gpu.card)));
      }
    } catch (InterruptedException e) {
      // The end.
    } catch (RuntimeException e) {
      cards.forEach(gpu -> gpu.facts = GpuFacts.NONE);
      log.warn("What the GPUs do is not measured any more: {}", e.getMessage());
    }
  }

  /** Ends the asking. A card that does not answer is left to itself, and the library open. */
  @Override
  public void close() {
    thread.interrupt();
    try {
      if (thread.getState() == Thread.State.NEW || thread.join(END)) {
        nvml.ifPresent(Nvml::close);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
