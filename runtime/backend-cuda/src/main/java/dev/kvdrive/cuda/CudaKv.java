package dev.kvdrive.cuda;

import static dev.kvdrive.cuda.Constants.WARP;
import static dev.kvdrive.cuda.CudaOperations.address;
import static dev.kvdrive.cuda.CudaOperations.batch;
import static dev.kvdrive.cuda.CudaOperations.layer;
import static dev.kvdrive.cuda.CudaOperations.requireKernelsFor;
import static dev.kvdrive.cuda.CudaOperations.rows;

import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.device.PromptChunks;
import dev.kvdrive.device.Queue;

/** Writes keys and values. */
final class CudaKv implements KvOperations {
  private static final int THREADS = 128;
  private static final int RESET_THREADS = 256;

  private final Gpu gpu;

  CudaKv(Gpu gpu) {
    this.gpu = gpu;
  }

  @Override
  public void append(Queue queue, Append append) {
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = append.step().layer();
    requireKernelsFor(of.layout());
    Structs.Append s = Structs.APPEND;
    Arguments a = layer(own.arguments(), s.layer, of);
    batch(a, s.batch, append.step().batch());
    rows(rows(a, s.keys, append.keys()), s.values, append.values())
        .put(s.frames, address(append.frames()))
        .put(s.trouble, own.trouble())
        .put(s.frameCount, append.frames().frames());
    own.launch(
        gpu.kernel("append"),
        of.layout().kvHeads(),
        append.step().batch().rows(),
        1,
        THREADS,
        0,
        a.end(s));
  }

  @Override
  public void store(Queue queue, Store store) {
    CudaQueue own = (CudaQueue) queue;
    Structs.Store s = Structs.STORE;
    Arguments a = layer(own.arguments(), s.layer, store.layer());
    rows(rows(a, s.keys, store.keys()), s.values, store.values())
        .put(s.scratch, CudaQueue.address(store.scratch().buffer()))
        .put(s.maxTokens, store.scratch().maxTokens())
        .put(s.start, store.start())
        .put(s.closing, store.closing());
    own.launch(
        gpu.kernel("store"),
        store.layer().layout().kvHeads(),
        store.rows(),
        1,
        THREADS,
        0,
        a.end(s));
  }

  @Override
  public void close(Queue queue, Close close) {
    launch(queue, "closeChunks", close.chunks(), close.frames());
  }

  @Override
  public void recall(Queue queue, Recall recall) {
    launch(queue, "recallChunks", recall.chunks(), recall.frames());
  }

  private void launch(Queue queue, String kernel, PromptChunks chunks, FramePool frames) {
    if (chunks.to() == chunks.from()) {
      return;
    }
    requireKernelsFor(chunks.layer().layout());
    CudaQueue own = (CudaQueue) queue;
    Arguments a =
        prompt(own, chunks.layer(), chunks.scratch(), chunks.from(), chunks.to(), chunks.seat())
            .put(Structs.PROMPT.frames, address(frames))
            .put(Structs.PROMPT.frameCount, frames.frames());
    own.launch(
        gpu.kernel(kernel),
        chunks.to() - chunks.from(),
        chunks.layer().layout().kvHeads(),
        1,
        THREADS,
        0,
        a.end(Structs.PROMPT));
  }

  @Override
  public void seed(Queue queue, Seed seed) {
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = seed.layer();
    Arguments a = withoutFrames(prompt(own, of, seed.scratch(), seed.tokens(), 0, seed.seat()));
    own.launch(
        gpu.kernel("seed"),
        of.layout().grid().denseTokens(),
        of.layout().kvHeads(),
        1,
        WARP,
        0,
        a.end(Structs.PROMPT));
  }

  /** A prompt's struct, but for the frames. */
  static Arguments prompt(
      CudaQueue queue, KvLayer layer, PrefillScratch scratch, int start, int end, int seat) {
    Structs.Prompt s = Structs.PROMPT;
    return layer(queue.arguments(), s.layer, layer)
        .put(s.scratch, CudaQueue.address(scratch.buffer()))
        .put(s.trouble, queue.trouble())
        .put(s.maxTokens, scratch.maxTokens())
        .put(s.start, start)
        .put(s.end, end)
        .put(s.seat, seat);
  }

  /** Completes a prompt's struct where no frame is written. */
  static Arguments withoutFrames(Arguments a) {
    return a.put(Structs.PROMPT.frames, 0L).put(Structs.PROMPT.frameCount, 0);
  }

  @Override
  public void place(Queue queue, Place place) {
    if (place.count() == 0) {
      return;
    }
    CudaQueue own = (CudaQueue) queue;
    Structs.Place s = Structs.PLACE;
    Arguments a =
        own.arguments()
            .put(s.frameOfExtent, CudaQueue.address(place.frameOfExtent()))
            .put(s.changes, CudaQueue.address(place.changes()))
            .put(s.count, place.count());
    int blocks = Math.ceilDiv(place.count(), THREADS);
    own.launch(gpu.kernel("place"), blocks, 1, 1, THREADS, 0, a.end(s));
  }

  @Override
  public void reset(Queue queue, Reset reset) {
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = reset.layer();
    int heads = of.layout().kvHeads();
    Structs.Reset s = Structs.RESET;
    Arguments a = layer(own.arguments(), s.layer, of).put(s.seat, reset.seat());
    long words = (long) heads * Math.max(of.window().most(), of.maxChunks());
    int most = 4 * gpu.multiprocessors();
    int blocks = (int) Math.clamp(Math.ceilDiv(words, RESET_THREADS), 1L, (long) most);
    own.launch(gpu.kernel("resetSeat"), blocks, 1, 1, RESET_THREADS, 0, a.end(s));
  }
}
