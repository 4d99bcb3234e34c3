package dev.kvdrive.server.http;

import dev.kvdrive.schedule.Finish;
import dev.kvdrive.schedule.GenerationException;
import dev.kvdrive.schedule.GenerationUsage;
import dev.kvdrive.server.access.Admission;
import dev.kvdrive.server.generation.GenerationObserver;
import java.util.concurrent.atomic.AtomicIntegerArray;

/**
 * Charges a key with the tokens of its request as they are generated, so that a long answer counts
 * while it runs; in the end they are as many as the answer's usage says.
 */
final class ChargedGenerations implements GenerationObserver {
  private final Admission admission;
  private final GenerationObserver other;
  private final AtomicIntegerArray charged;

  /**
   * @param other is told of the same
   */
  ChargedGenerations(Admission admission, int choices, GenerationObserver other) {
    this.admission = admission;
    this.other = other;
    this.charged = new AtomicIntegerArray(choices);
  }

  @Override
  public void token(int choice) {
    charged.incrementAndGet(choice);
    admission.chargeCompletion(1);
    other.token(choice);
  }

  @Override
  public void finished(int choice, Finish finish) {
    // A token that ends an answer without being part of its text is generated, too.
    int rest = finish.usage().completionTokens() - charged.get(choice);
    if (rest > 0) {
      admission.chargeCompletion(rest);
    }
    admission.ended();
    other.finished(choice, finish);
  }

  @Override
  public void failed(int choice, GenerationException error, GenerationUsage took) {
    admission.ended();
    other.failed(choice, error, took);
  }
}
