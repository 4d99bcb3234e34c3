package dev.kvdrive.bench.token;

import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;
import java.util.function.BiConsumer;

/** Hears with which queries chunks are scored, and lets the device score them. */
final class SpeculatedQueries implements IndexOperations {
  private final IndexOperations index;
  private final BiConsumer<Queue, Score> listener;

  SpeculatedQueries(IndexOperations index, BiConsumer<Queue, Score> listener) {
    this.index = index;
    this.listener = listener;
  }

  @Override
  public void score(Queue queue, Score score) {
    listener.accept(queue, score);
    index.score(queue, score);
  }

  @Override
  public void summarise(Queue queue, LayerStep step) {
    index.summarise(queue, step);
  }

  @Override
  public void summarise(Queue queue, PromptChunks chunks) {
    index.summarise(queue, chunks);
  }

  @Override
  public void cluster(Queue queue, Cluster segment) {
    index.cluster(queue, segment);
  }

  @Override
  public void join(Queue queue, Join join) {
    index.join(queue, join);
  }

  @Override
  public void scoreClusters(Queue queue, ScoreClusters score) {
    index.scoreClusters(queue, score);
  }

  @Override
  public void scoreOpened(Queue queue, ScoreOpened score) {
    index.scoreOpened(queue, score);
  }

  @Override
  public void pin(Queue queue, Pin pin) {
    index.pin(queue, pin);
  }

  @Override
  public void best(Queue queue, Best best) {
    index.best(queue, best);
  }
}
