package dev.kvdrive.cpu;

import dev.kvdrive.device.Activations;
import dev.kvdrive.device.AttentionShape;
import dev.kvdrive.device.AttentionState;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.FramePool;
import dev.kvdrive.device.KvLayer;
import dev.kvdrive.device.Mailbox;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.PrefillScratch;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.device.StepBatch;
import dev.kvdrive.device.Weight;
import dev.kvdrive.model.tensor.RopeSpec;

/** Turns the SPI's calls into work on addresses and submits it. */
final class CpuOperations implements Operations {
  private final ComputePool pool;
  private final Matmul matmul;
  private final Pointwise pointwise;
  private final KvWriter writer;
  private final ChunkSelection selector;
  private final WindowDiff diff;
  private final MissFetch misses;
  private final StepAttention attention;
  private final CausalAttention causal;

  /**
   * @param scratch one for each thread of the pool
   */
  CpuOperations(ComputePool pool, ThreadScratch[] scratch) {
    this.pool = pool;
    matmul = new Matmul(pool);
    pointwise = new Pointwise(pool, scratch);
    writer = new KvWriter(pool, scratch);
    selector = new ChunkSelection(pool, scratch);
    diff = new WindowDiff(pool, scratch);
    misses = new MissFetch(pool);
    attention = new StepAttention(pool, scratch);
    causal = new CausalAttention(pool, scratch);
  }

  private static void submit(Queue queue, Runnable work) {
    if (!(queue instanceof CpuQueue cpu)) {
      throw new DeviceException("the queue is not one of the CPU device");
    }
    cpu.submit(work);
  }

  private static long address(Activations rows) {
    return CpuBuffer.address(rows.buffer()) + 4L * rows.offset();
  }

  private static long stride(Activations rows) {
    return 4L * rows.stride();
  }

  private static SelectionMemory memory(Selection selection, KvLayer layer) {
    return new SelectionMemory(selection, layer.layout().kvHeads());
  }

  // --- projections and pointwise work ---

  @Override
  public void embed(
      Queue queue, Weight table, DeviceBuffer tokens, float factor, int rows, Activations out) {
    CpuWeight weight = (CpuWeight) table;
    submit(
        queue,
        () -> {
          long ids = CpuBuffer.address(tokens);
          long to = address(out);
          pool.run(
              rows,
              (row, thread) -> {
                int token = Memory.getInt(ids + 4L * row);
                long at = to + row * stride(out);
                if (token < 0) {
                  Memory.clear(at, 4L * weight.cols());
                } else if (token < weight.rows()) {
                  weight.row(token, at);
                  if (factor != 1) {
                    Pointwise.scale(at, factor, weight.cols());
                  }
                } else {
                  throw new DeviceException(
                      "token %d is not in %s of %d rows"
                          .formatted(token, weight.name(), weight.rows()));
                }
              });
        });
  }

  @Override
  public void rmsNorm(
      Queue queue,
      Activations in,
      Weight gain,
      float epsilon,
      int rows,
      int width,
      Activations out) {
    submit(
        queue,
        () ->
            pointwise.rmsNorm(
                address(in),
                stride(in),
                ((CpuWeight) gain).floats(),
                epsilon,
                rows,
                width,
                address(out),
                stride(out)));
  }

  @Override
  public void headNorm(
      Queue queue, Activations x, Weight gain, float epsilon, int rows, int heads) {
    submit(
        queue,
        () ->
            pointwise.headNorm(
                address(x),
                stride(x),
                ((CpuWeight) gain).floats(),
                epsilon,
                rows,
                heads,
                gain.cols()));
  }

  @Override
  public void matmul(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    multiply(queue, weight, in, rows, out, false);
  }

  @Override
  public void matmulAdd(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    multiply(queue, weight, in, rows, out, true);
  }

  @Override
  public void logits(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    multiply(queue, weight, in, rows, out, false);
  }

  private void multiply(
      Queue queue, Weight weight, Activations in, int rows, Activations out, boolean add) {
    submit(
        queue,
        () ->
            matmul.multiply(
                (CpuWeight) weight, address(in), stride(in), rows, address(out), stride(out), add));
  }

  @Override
  public void addBias(Queue queue, Weight bias, Activations x, int rows) {
    submit(
        queue,
        () ->
            pointwise.addBias(
                ((CpuWeight) bias).floats(), bias.cols(), address(x), stride(x), rows));
  }

  @Override
  public void add(Queue queue, Activations x, int rows, int width, Activations out) {
    submit(
        queue, () -> pointwise.add(address(x), stride(x), rows, width, address(out), stride(out)));
  }

  @Override
  public void angles(
      Queue queue, RopeSpec spec, DeviceBuffer positions, int rows, DeviceBuffer out) {
    submit(
        queue,
        () -> pointwise.angles(spec, CpuBuffer.address(positions), rows, CpuBuffer.address(out)));
  }

  @Override
  public void rotate(
      Queue queue,
      RopeSpec spec,
      DeviceBuffer angles,
      Activations x,
      int rows,
      int heads,
      int headDim) {
    submit(
        queue,
        () ->
            pointwise.rotate(
                spec, CpuBuffer.address(angles), address(x), stride(x), rows, heads, headDim));
  }

  @Override
  public void siluMultiply(
      Queue queue, Activations gate, Activations up, int rows, int width, Activations out) {
    submit(
        queue,
        () ->
            pointwise.siluMultiply(
                address(gate),
                stride(gate),
                address(up),
                stride(up),
                rows,
                width,
                address(out),
                stride(out)));
  }

  @Override
  public void argmax(Queue queue, Activations logits, int rows, int width, DeviceBuffer out) {
    submit(
        queue,
        () ->
            pointwise.argmax(address(logits), stride(logits), rows, width, CpuBuffer.address(out)));
  }

  // --- decode ---

  @Override
  public void append(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      FramePool frames,
      Activations keys,
      Activations values) {
    submit(
        queue,
        () ->
            writer.append(
                new StepRows(batch),
                new KvMemory(layer),
                frames,
                address(keys),
                stride(keys),
                address(values),
                stride(values)));
  }

  @Override
  public void select(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection) {
    submit(
        queue,
        () ->
            selector.select(
                new StepRows(batch),
                new KvMemory(layer),
                shape,
                address(query),
                stride(query),
                memory(selection, layer)));
  }

  @Override
  public void diff(Queue queue, StepBatch batch, KvLayer layer, Selection selection, int pass) {
    submit(
        queue,
        () -> diff.diff(new StepRows(batch), new KvMemory(layer), memory(selection, layer), pass));
  }

  @Override
  public void fetch(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      Selection selection,
      int pass,
      FramePool frames,
      Mailbox mailbox) {
    submit(
        queue,
        () ->
            misses.fetch(
                new StepRows(batch),
                new KvMemory(layer),
                memory(selection, layer),
                pass,
                frames,
                mailbox));
  }

  @Override
  public void land(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      Selection selection,
      int pass,
      Mailbox mailbox,
      int timeoutMillis) {
    submit(
        queue,
        () -> misses.land(new KvMemory(layer), memory(selection, layer), mailbox, timeoutMillis));
  }

  @Override
  public void beginAttention(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      AttentionState state) {
    submit(
        queue,
        () ->
            attention.begin(
                new StepRows(batch),
                new KvMemory(layer),
                shape,
                address(query),
                stride(query),
                state));
  }

  @Override
  public void attendHits(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int pass,
      AttentionState state) {
    submit(
        queue,
        () ->
            attention.attendHits(
                new StepRows(batch),
                new KvMemory(layer),
                shape,
                address(query),
                stride(query),
                memory(selection, layer),
                pass,
                state));
  }

  @Override
  public void attendMisses(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int pass,
      AttentionState state) {
    submit(
        queue,
        () ->
            attention.attendMisses(
                new StepRows(batch),
                new KvMemory(layer),
                shape,
                address(query),
                stride(query),
                memory(selection, layer),
                pass,
                state));
  }

  @Override
  public void finishAttention(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Selection selection,
      AttentionState state,
      Activations out) {
    submit(
        queue,
        () ->
            attention.finish(
                new StepRows(batch),
                new KvMemory(layer),
                shape,
                memory(selection, layer),
                state,
                address(out),
                stride(out)));
  }

  // --- prefill ---

  @Override
  public void store(
      Queue queue,
      KvLayer layer,
      PrefillScratch scratch,
      int start,
      int rows,
      Activations keys,
      Activations values) {
    submit(
        queue,
        () ->
            writer.store(
                layer.layout(),
                scratch,
                start,
                rows,
                address(keys),
                stride(keys),
                address(values),
                stride(values)));
  }

  @Override
  public void attendCausal(
      Queue queue,
      KvLayer layer,
      AttentionShape shape,
      PrefillScratch scratch,
      Activations query,
      int start,
      int rows,
      Activations out) {
    submit(
        queue,
        () ->
            causal.attend(
                layer.layout(),
                shape,
                scratch,
                address(query),
                stride(query),
                start,
                rows,
                address(out),
                stride(out)));
  }

  @Override
  public void closeChunks(
      Queue queue,
      KvLayer layer,
      PrefillScratch scratch,
      int seat,
      int fromChunk,
      int toChunk,
      FramePool frames) {
    submit(
        queue,
        () -> writer.closeChunks(new KvMemory(layer), scratch, seat, fromChunk, toChunk, frames));
  }

  @Override
  public void seed(Queue queue, KvLayer layer, PrefillScratch scratch, int seat, int tokens) {
    submit(queue, () -> writer.seed(new KvMemory(layer), scratch, seat, tokens));
  }

  @Override
  public void resetSeat(Queue queue, KvLayer layer, int seat) {
    submit(queue, () -> writer.reset(new KvMemory(layer), seat));
  }
}
