package dev.kvdrive.schedule;

import dev.kvdrive.kv.meter.AccuracySample;
import dev.kvdrive.plan.KvLayout;
import java.util.function.LongSupplier;

/** Counts what one generation takes; becomes its {@link GenerationUsage}. Engine thread. */
final class SequenceUsage {
  private final KvLayout layout;
  private final int promptTokens;
  private final long submitted = System.nanoTime();
  private LongSupplier written = () -> 0;
  private int reused;
  private long admitted;
  private long firstToken;
  private long prefillStalled;
  private long decodeStalled;
  private long decodeNvme;
  private int completionTokens;
  private StepTokens tokens = StepTokens.NONE;
  private SelectedChunks chunks = SelectedChunks.NONE;
  private Accuracy accuracy = Accuracy.NONE;

  SequenceUsage(KvLayout layout, int promptTokens) {
    this.layout = layout;
    this.promptTokens = promptTokens;
  }

  /**
   * It has a seat from now on.
   *
   * @param nvmeWritten bytes written to NVMe for it
   */
  void admitted(LongSupplier nvmeWritten) {
    written = nvmeWritten;
    admitted = System.nanoTime();
  }

  /** So many of its prompt's tokens were there already. */
  void reused(int tokens) {
    reused = tokens;
  }

  void token() {
    if (completionTokens++ == 0) {
      firstToken = System.nanoTime();
    }
  }

  /** A decode step. */
  void step(StepTokens ofStep, SelectedChunks selected) {
    tokens = tokens.plus(ofStep);
    chunks = chunks.plus(selected);
  }

  /**
   * A step that it was in had chunks on their way from NVMe for so long, whether or not its own.
   */
  void fetched(long nanos) {
    decodeNvme += nanos;
  }

  /** It has waited for room or chunks. */
  void stalled(long nanos) {
    if (firstToken == 0) {
      prefillStalled += nanos;
    } else {
      decodeStalled += nanos;
    }
  }

  /** A step of it was measured. */
  void measured(AccuracySample sample) {
    accuracy = accuracy.plus(sample);
  }

  int completionTokens() {
    return completionTokens;
  }

  GenerationUsage toUsage() {
    long now = System.nanoTime();
    return new GenerationUsage(
        promptTokens,
        reused,
        completionTokens,
        tokens.attended(chunks, layout),
        tokens.context(),
        chunks.hits(),
        chunks.dramMisses(),
        chunks.nvmeMisses(),
        chunks.dramMisses() * layout.backing().bytes(),
        chunks.nvmeMisses() * layout.backing().bytes(),
        written.getAsLong(),
        chunks.prefetched(),
        chunks.prefetchedHits(),
        (admitted == 0 ? now : admitted) - submitted,
        admitted == 0 ? 0 : (firstToken == 0 ? now : firstToken) - admitted,
        firstToken == 0 ? 0 : now - firstToken,
        prefillStalled,
        decodeStalled,
        decodeNvme,
        accuracy);
  }
}
