package dev.kvdrive.bench.speed;

import java.util.Map;

/** Verbs of a decode step that belong together, and the bytes that they have to move at least. */
public enum Stage {
  /** All weights once. */
  PRODUCTS("products") {
    @Override
    double bytes(StepBytes of, double fetched, int sequences) {
      return of.weights();
    }
  },
  POINTWISE("norms, rotations, gates"),
  APPEND("append, summarise, join"),
  SCORE("score") {
    @Override
    double bytes(StepBytes of, double fetched, int sequences) {
      return (double) sequences * of.index();
    }
  },
  BEST("best"),
  WINDOW("keys, look-ups"),
  /** From a frame to a slot. */
  FETCH("fetch") {
    @Override
    double bytes(StepBytes of, double fetched, int sequences) {
      return 2 * sequences * fetched;
    }
  },
  ESTIMATE("estimate") {
    @Override
    double bytes(StepBytes of, double fetched, int sequences) {
      return (double) sequences * of.clusters();
    }
  },
  ATTEND("attend") {
    @Override
    double bytes(StepBytes of, double fetched, int sequences) {
      return (double) sequences * of.cache();
    }
  },
  /** What is no verb: parameters, what is downloaded, choosing tokens, the scheduler. */
  HOST("host");

  private final String word;

  Stage(String word) {
    this.word = word;
  }

  /** The stage of a verb as {@link StageClock} names it. */
  static Stage of(String verb) {
    return switch (verb) {
      case "tensor.matmul", "tensor.matmulAdd", "tensor.logits" -> PRODUCTS;
      case "index.summarise", "index.join", "index.cluster" -> APPEND;
      case "index.best" -> BEST;
      case "window.fetch", "window.land", "window.prefetch" -> FETCH;
      case "attention.estimate" -> ESTIMATE;
      default ->
          switch (verb.substring(0, verb.indexOf('.'))) {
            case "tensor" -> POINTWISE;
            case "kv" -> APPEND;
            case "index" -> SCORE;
            case "window" -> WINDOW;
            case "attention" -> ATTEND;
            default -> throw new IllegalArgumentException("no verb is called " + verb);
          };
    };
  }

  /** Bytes of a step of so many sequences, each of which fetches some; 0 where nothing is known. */
  double bytes(StepBytes of, double fetched, int sequences) {
    return 0;
  }

  /** Nanoseconds of a step. */
  double nanos(SpeedRun run, int sequences) {
    long steps = run.decodeSteps() / sequences;
    long sum = this == HOST ? run.decodeNanos() : 0;
    for (Map.Entry<String, Long> verb : run.verbNanos().entrySet()) {
      if (this == HOST) {
        sum -= verb.getValue();
      } else if (of(verb.getKey()) == this) {
        sum += verb.getValue();
      }
    }
    return (double) sum / steps;
  }

  @Override
  public String toString() {
    return word;
  }
}
