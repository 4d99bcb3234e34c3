package dev.kvdrive.cuda;

import static dev.kvdrive.cuda.Constants.DIFF_THREADS;
import static dev.kvdrive.cuda.Constants.FETCH_THREADS;
import static dev.kvdrive.cuda.CudaOperations.address;
import static dev.kvdrive.cuda.CudaOperations.batch;
import static dev.kvdrive.cuda.CudaOperations.bits;
import static dev.kvdrive.cuda.CudaOperations.chosen;
import static dev.kvdrive.cuda.CudaOperations.layer;
import static dev.kvdrive.cuda.CudaOperations.select;

import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.WindowOperations;

/** Windows: keys, look-ups, and how misses come. */
final class CudaWindow implements WindowOperations {
  private static final int THREADS = 256;

  /** Blocks among which the slots of a window are split where their keys are found, at most. */
  private static final int KEY_PARTS = 8;

  /** Blocks that wait for the mailbox and copy what came. */
  private static final int LAND_BLOCKS = 16;

  /**
   * Blocks of a fetch: as few as read DRAM as fast as can be read. On their multiprocessors other
   * blocks wait, for their loads come behind those from DRAM.
   */
  private static final int FETCH_BLOCKS = 16;

  private final Gpu gpu;

  CudaWindow(Gpu gpu) {
    this.gpu = gpu;
  }

  @Override
  public void key(Queue queue, Keys keys) {
    CudaQueue own = (CudaQueue) queue;
    LayerStep step = keys.step();
    Structs.Keys s = Structs.KEYS;
    Arguments a = layer(own.arguments(), s.layer, step.layer());
    batch(a, s.batch, step.batch());
    chosen(a, s.chosen, keys.selection()).put(s.uses, keys.uses() ? 1 : 0);
    int heads = step.layer().layout().kvHeads();
    int parts = Math.clamp(Math.ceilDiv(step.layer().window().most(), THREADS), 1, KEY_PARTS);
    own.launch(gpu.kernel("keySlots"), heads, step.batch().rows(), parts, THREADS, 0, a.end(s));
  }

  @Override
  public void recent(Queue queue, Pass pass) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = select(own.arguments(), pass.step(), pass.selection(), pass.pass());
    int heads = pass.layer().layout().kvHeads();
    own.launch(
        gpu.kernel("recent"), heads, pass.batch().rows(), 1, THREADS, 0, a.end(Structs.SELECT));
  }

  @Override
  public void forget(Queue queue, Forget forget) {
    CudaQueue own = (CudaQueue) queue;
    KvLayer of = forget.step().layer();
    Structs.Forget s = Structs.FORGET;
    Arguments a = layer(own.arguments(), s.layer, of);
    batch(a, s.batch, forget.step().batch());
    chosen(a, s.chosen, forget.selection()).put(s.all, forget.which() == Forgotten.ALL ? 1 : 0);
    own.launch(
        gpu.kernel("forget"),
        of.layout().kvHeads(),
        forget.step().batch().rows(),
        1,
        THREADS,
        0,
        a.end(s));
  }

  @Override
  public void diff(Queue queue, Pass pass) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = select(own.arguments(), pass.step(), pass.selection(), pass.pass());
    own.launch(
        gpu.kernel("diff"),
        pass.layer().layout().kvHeads(),
        pass.batch().rows(),
        1,
        DIFF_THREADS,
        bits(pass.layer().window().most()),
        a.end(Structs.SELECT));
  }

  @Override
  public void fetch(Queue queue, Fetch fetch) {
    CudaQueue own = (CudaQueue) queue;
    Pass pass = fetch.of();
    Arguments a = mail(own.arguments(), pass, address(fetch.frames()), fetch.mailbox(), 0);
    own.launch(gpu.kernel("fetch"), FETCH_BLOCKS, 1, 1, FETCH_THREADS, 0, a.end(Structs.FETCH));
  }

  @Override
  public void land(Queue queue, Land land) {
    CudaQueue own = (CudaQueue) queue;
    Arguments a = mail(own.arguments(), land.of(), 0, land.mailbox(), land.timeoutMillis());
    own.launch(gpu.kernel("land"), LAND_BLOCKS, 1, 1, THREADS, 0, a.end(Structs.FETCH));
  }

  @Override
  public void prefetch(Queue queue, Prefetch prefetch) {
    CudaQueue own = (CudaQueue) queue;
    Pass pass = prefetch.of();
    Structs.Fetch s = Structs.FETCH;
    Arguments a = layer(own.arguments(), s.layer, pass.layer());
    batch(a, s.batch, pass.batch());
    chosen(a, s.chosen, pass.selection())
        .put(s.frames, address(prefetch.frames()))
        .put(s.control, 0L)
        .put(s.transit, 0L)
        .put(s.round, 0L)
        .put(s.marks, prefetch.marks() == null ? 0L : CudaQueue.address(prefetch.marks()))
        .put(s.rows, pass.batch().rows())
        .put(s.pass, pass.pass())
        .put(s.timeoutMillis, 0);
    own.launch(gpu.kernel("prefetch"), FETCH_BLOCKS, 1, 1, FETCH_THREADS, 0, a.end(s));
  }

  @Override
  public void credit(Queue queue, Credit credit) {
    CudaQueue own = (CudaQueue) queue;
    Pass pass = credit.of();
    Structs.Credit s = Structs.CREDIT;
    Arguments a = layer(own.arguments(), s.layer, pass.layer());
    batch(a, s.batch, pass.batch());
    chosen(a, s.chosen, pass.selection())
        .put(s.marks, CudaQueue.address(credit.marks()))
        .put(s.pass, pass.pass());
    int heads = pass.layer().layout().kvHeads();
    own.launch(gpu.kernel("credit"), heads, pass.batch().rows(), 1, THREADS, 0, a.end(s));
  }

  @Override
  public void observe(Queue queue, Observe observe) {
    CudaQueue own = (CudaQueue) queue;
    LayerStep step = observe.step();
    Structs.Observe s = Structs.OBSERVE;
    Arguments a = layer(own.arguments(), s.layer, step.layer());
    batch(a, s.batch, step.batch());
    chosen(a, s.chosen, observe.selection())
        .put(s.lastSelected, CudaQueue.address(observe.reuse().lastSelected()))
        .put(s.ages, CudaQueue.address(observe.reuse().ages()));
    int heads = step.layer().layout().kvHeads();
    own.launch(gpu.kernel("observe"), heads, step.batch().rows(), 1, THREADS, 0, a.end(s));
  }

  @Override
  public void trim(Queue queue, Trim trim) {
    CudaQueue own = (CudaQueue) queue;
    Structs.Trim s = Structs.TRIM;
    Arguments a =
        layer(own.arguments(), s.layer, trim.layer())
            .put(s.keep, CudaQueue.address(trim.keep()))
            .put(s.seat, trim.seat());
    int heads = trim.layer().layout().kvHeads();
    own.launch(gpu.kernel("trim"), heads, 1, 1, THREADS, 0, a.end(s));
  }

  private static Arguments mail(
      Arguments a, Pass pass, long frames, Mailbox mailbox, int timeoutMillis) {
    CudaHostBuffer control = (CudaHostBuffer) mailbox.control();
    Structs.Fetch s = Structs.FETCH;
    layer(a, s.layer, pass.layer());
    batch(a, s.batch, pass.batch());
    return chosen(a, s.chosen, pass.selection())
        .put(s.frames, frames)
        .put(s.control, control.address())
        .put(s.transit, ((CudaHostBuffer) mailbox.transit()).address())
        .put(s.round, control.round())
        .put(s.marks, 0L)
        .put(s.rows, pass.batch().rows())
        .put(s.pass, pass.pass())
        .put(s.timeoutMillis, timeoutMillis);
  }
}
