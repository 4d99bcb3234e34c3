package dev.kvdrive.device;

import com.google.errorprone.annotations.FormatMethod;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.Workspace;

/**
 * Checks the shapes of every call against the sizes of the memory it names, before the backend's
 * operations see it, so that these may address memory without bounds. What lies <i>in</i> device
 * memory (tokens, seats, positions, maps) is the engine's to keep in range.
 */
public final class CheckedOperations implements Operations {
  private final Operations operations;
  private final ElementType activations;

  /**
   * @param operations does the work
   * @param activations element type of its activations
   */
  public CheckedOperations(Operations operations, ElementType activations) {
    this.operations = operations;
    this.activations = activations;
  }

  @Override
  public void embed(
      Queue queue, Weight table, DeviceBuffer tokens, float factor, int rows, Activations out) {
    words("tokens", tokens, rows);
    view("out", out, rows, table.cols());
    require(Float.isFinite(factor), "a table cannot be multiplied by %s", factor);
    operations.embed(queue, table, tokens, factor, rows, out);
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
    view("in", in, rows, width);
    view("out", out, rows, width);
    vector(gain, width);
    operations.rmsNorm(queue, in, gain, epsilon, rows, width, out);
  }

  @Override
  public void headNorm(
      Queue queue, Activations x, Weight gain, float epsilon, int rows, int heads) {
    vector(gain, gain.cols());
    view("x", x, rows, Math.multiplyExact(positive("heads", heads), gain.cols()));
    operations.headNorm(queue, x, gain, epsilon, rows, heads);
  }

  @Override
  public void matmul(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    view("in", in, rows, weight.cols());
    view("out", out, rows, weight.rows());
    operations.matmul(queue, weight, in, rows, out);
  }

  @Override
  public void matmulAdd(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    view("in", in, rows, weight.cols());
    view("out", out, rows, weight.rows());
    operations.matmulAdd(queue, weight, in, rows, out);
  }

  @Override
  public void logits(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    view("in", in, rows, weight.cols());
    view("logits", out, rows, weight.rows(), ElementType.F32);
    operations.logits(queue, weight, in, rows, out);
  }

  @Override
  public void addBias(Queue queue, Weight bias, Activations x, int rows) {
    vector(bias, bias.cols());
    view("x", x, rows, bias.cols());
    operations.addBias(queue, bias, x, rows);
  }

  @Override
  public void add(Queue queue, Activations x, int rows, int width, Activations out) {
    view("x", x, rows, width);
    view("out", out, rows, width);
    operations.add(queue, x, rows, width, out);
  }

  @Override
  public void angles(
      Queue queue, RopeSpec spec, DeviceBuffer positions, int rows, DeviceBuffer out) {
    words("positions", positions, rows);
    words("angles", out, (long) rows * spec.rotaryDim());
    operations.angles(queue, spec, positions, rows, out);
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
    words("angles", angles, (long) rows * spec.rotaryDim());
    view("x", x, rows, Math.multiplyExact(positive("heads", heads), headDim));
    require(
        spec.rotaryDim() <= headDim,
        "%d rotated elements do not fit a head of %d",
        spec.rotaryDim(),
        headDim);
    operations.rotate(queue, spec, angles, x, rows, heads, headDim);
  }

  @Override
  public void siluMultiply(
      Queue queue, Activations gate, Activations up, int rows, int width, Activations out) {
    view("gate", gate, rows, width);
    view("up", up, rows, width);
    view("out", out, rows, width);
    operations.siluMultiply(queue, gate, up, rows, width, out);
  }

  @Override
  public void argmax(Queue queue, Activations logits, int rows, int width, DeviceBuffer out) {
    view("logits", logits, rows, width, ElementType.F32);
    words("argmax", out, rows);
    operations.argmax(queue, logits, rows, width, out);
  }

  @Override
  public void append(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      FramePool frames,
      Activations keys,
      Activations values) {
    check(batch);
    check(layer);
    check(layer.layout(), frames);
    int width = kvWidth(layer.layout());
    view("keys", keys, batch.rows(), width);
    view("values", values, batch.rows(), width);
    operations.append(queue, batch, layer, frames, keys, values);
  }

  @Override
  public void select(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection) {
    check(batch);
    check(layer);
    check(layer, shape);
    check(batch, layer, selection);
    view("query", query, batch.rows(), shape.heads() * shape.headDim());
    operations.select(queue, batch, layer, shape, query, selection);
  }

  @Override
  public void diff(Queue queue, StepBatch batch, KvLayer layer, Selection selection, int pass) {
    check(batch);
    check(layer);
    check(batch, layer, selection);
    check(selection, pass);
    for (int slots : layer.windowSlots()) {
      require(
          slots >= selection.passChunks(),
          "a window of %d slots cannot hold a pass of %d chunks",
          slots,
          selection.passChunks());
    }
    operations.diff(queue, batch, layer, selection, pass);
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
    check(batch);
    check(layer);
    check(layer.layout(), frames);
    check(batch, layer, selection);
    check(selection, pass);
    check(batch, layer.layout(), selection, mailbox);
    operations.fetch(queue, batch, layer, selection, pass, frames, mailbox);
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
    check(batch);
    check(layer);
    check(batch, layer, selection);
    check(selection, pass);
    check(batch, layer.layout(), selection, mailbox);
    require(timeoutMillis >= 0, "a wait of %d ms", timeoutMillis);
    operations.land(queue, batch, layer, selection, pass, mailbox, timeoutMillis);
  }

  @Override
  public void beginAttention(
      Queue queue,
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      AttentionState state) {
    check(batch);
    check(layer);
    check(layer, shape);
    check(batch, layer, shape, state);
    view("query", query, batch.rows(), shape.heads() * shape.headDim());
    operations.beginAttention(queue, batch, layer, shape, query, state);
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
    checkPass(batch, layer, shape, query, selection, pass, state);
    operations.attendHits(queue, batch, layer, shape, query, selection, pass, state);
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
    checkPass(batch, layer, shape, query, selection, pass, state);
    operations.attendMisses(queue, batch, layer, shape, query, selection, pass, state);
  }

  private void checkPass(
      StepBatch batch,
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int pass,
      AttentionState state) {
    check(batch);
    check(layer);
    check(layer, shape);
    check(batch, layer, selection);
    check(selection, pass);
    check(batch, layer, shape, state);
    check(selection, state);
    view("query", query, batch.rows(), shape.heads() * shape.headDim());
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
    check(batch);
    check(layer);
    check(layer, shape);
    check(batch, layer, selection);
    check(batch, layer, shape, state);
    check(selection, state);
    view("out", out, batch.rows(), shape.heads() * shape.headDim());
    operations.finishAttention(queue, batch, layer, shape, selection, state, out);
  }

  @Override
  public void store(
      Queue queue,
      KvLayer layer,
      PrefillScratch scratch,
      int start,
      int rows,
      Activations keys,
      Activations values) {
    check(layer);
    check(layer.layout(), scratch, start, rows);
    int width = kvWidth(layer.layout());
    view("keys", keys, rows, width);
    view("values", values, rows, width);
    operations.store(queue, layer, scratch, start, rows, keys, values);
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
    check(layer);
    check(layer, shape);
    check(layer.layout(), scratch, start, rows);
    int width = shape.heads() * shape.headDim();
    view("query", query, rows, width);
    view("out", out, rows, width);
    operations.attendCausal(queue, layer, shape, scratch, query, start, rows, out);
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
    check(layer);
    checkSeat(layer, seat);
    check(layer.layout(), frames);
    require(
        fromChunk >= 0 && fromChunk <= toChunk && toChunk <= layer.maxChunks(),
        "chunks %d to %d are not within %d",
        fromChunk,
        toChunk,
        layer.maxChunks());
    if (toChunk > fromChunk) {
      check(layer.layout(), scratch, 0, layer.layout().grid().firstToken(toChunk));
    }
    operations.closeChunks(queue, layer, scratch, seat, fromChunk, toChunk, frames);
  }

  @Override
  public void seed(Queue queue, KvLayer layer, PrefillScratch scratch, int seat, int tokens) {
    check(layer);
    checkSeat(layer, seat);
    check(layer.layout(), scratch, 0, tokens);
    operations.seed(queue, layer, scratch, seat, tokens);
  }

  @Override
  public void resetSeat(Queue queue, KvLayer layer, int seat) {
    check(layer);
    checkSeat(layer, seat);
    operations.resetSeat(queue, layer, seat);
  }

  // --- what a call must bring ---

  private void view(String name, Activations view, int rows, int width) {
    view(name, view, rows, width, activations);
  }

  private static void view(String name, Activations view, int rows, int width, ElementType type) {
    positive("rows", rows);
    positive("width", width);
    require(
        view.offset() >= 0 && (rows == 1 || view.stride() >= width),
        "%s: rows of %d elements at offset %d and stride %d overlap",
        name,
        width,
        view.offset(),
        view.stride());
    long elements = view.offset() + (rows - 1L) * view.stride() + width;
    require(
        elements * type.bytes() <= view.buffer().bytes(),
        "%s: %d rows of %d elements reach to element %d, %s has %d bytes",
        name,
        rows,
        width,
        elements,
        view.buffer().label(),
        view.buffer().bytes());
  }

  private static void words(String name, DeviceBuffer buffer, long words) {
    bytes(name, buffer, 4 * words);
  }

  private static void bytes(String name, DeviceBuffer buffer, long bytes) {
    require(
        buffer.bytes() >= bytes,
        "%s needs %d bytes, %s has %d",
        name,
        bytes,
        buffer.label(),
        buffer.bytes());
  }

  private static void vector(Weight weight, int width) {
    require(
        weight.rows() == 1 && weight.cols() == width,
        "%s is %d x %d, not a vector of %d",
        weight.name(),
        weight.rows(),
        weight.cols(),
        width);
  }

  private static int kvWidth(KvLayout layout) {
    return layout.kvHeads() * layout.headDim();
  }

  private static void check(StepBatch batch) {
    positive("rows", batch.rows());
    words("tokens", batch.tokens(), batch.rows());
    words("positions", batch.positions(), batch.rows());
    words("seats", batch.seats(), batch.rows());
    words("select counts", batch.selectCounts(), batch.rows());
  }

  private static void check(KvLayer layer) {
    KvLayout layout = layer.layout();
    ChunkGrid grid = layout.grid();
    long cells = (long) layer.seats() * layout.kvHeads();
    long slots = (long) layer.seats() * layer.totalSlots();
    require(
        layer.windowSlots().length == layout.kvHeads(),
        "%d windows for %d KV heads",
        layer.windowSlots().length,
        layout.kvHeads());
    words("slot base", layer.slotBase(), layout.kvHeads() + 1L);
    bytes("dense", layer.dense(), cells * 2 * grid.denseTokens() * layout.rowBytes());
    bytes(
        "representatives",
        layer.representatives(),
        cells * layer.maxChunks() * layout.representativeBytes());
    bytes("window", layer.window(), slots * layout.chunkBytes());
    words("slot of chunk", layer.slotOfChunk(), cells * layer.maxChunks());
    words("chunk of slot", layer.chunkOfSlot(), slots);
    words("attention of slot", layer.attentionOfSlot(), slots);
    words("frame of extent", layer.frameOfExtent(), cells * layer.maxExtents());
    words("last use", layer.lastUse(), cells * layer.maxExtents());
  }

  private static void check(KvLayer layer, AttentionShape shape) {
    KvLayout layout = layer.layout();
    require(
        shape.kvHeads() == layout.kvHeads() && shape.headDim() == layout.headDim(),
        "attention over %d KV heads of %d elements, but the layer has %d of %d",
        shape.kvHeads(),
        shape.headDim(),
        layout.kvHeads(),
        layout.headDim());
  }

  private static void check(StepBatch batch, KvLayer layer, Selection selection) {
    require(
        batch.rows() <= selection.maxRows() && layer.maxChunks() <= selection.maxChunks(),
        "a selection for %d rows of %d chunks is too small for %d rows of %d",
        selection.maxRows(),
        selection.maxChunks(),
        batch.rows(),
        layer.maxChunks());
    positive("pass chunks", selection.passChunks());
    long cells = (long) selection.maxRows() * layer.layout().kvHeads();
    words("scores", selection.scores(), cells * selection.maxChunks());
    words("selected", selection.selected(), cells * selection.maxSelected());
    words("selected count", selection.selectedCount(), cells);
    words("slots", selection.slots(), cells * selection.passChunks());
    words("misses", selection.misses(), cells * selection.passChunks());
    words("miss count", selection.missCount(), cells);
    words("counters", selection.counters(), (long) selection.maxRows() * Selection.COUNTERS);
  }

  private static void check(Selection selection, int pass) {
    require(
        pass >= 0 && (long) pass * selection.passChunks() <= selection.maxSelected(),
        "pass %d of %d chunks lies behind a selection of %d",
        pass,
        selection.passChunks(),
        selection.maxSelected());
  }

  private static void check(
      StepBatch batch, KvLayout layout, Selection selection, Mailbox mailbox) {
    long capacity = (long) batch.rows() * layout.kvHeads() * selection.passChunks();
    require(
        mailbox.capacity() >= capacity,
        "a mailbox of %d requests is too small for %d",
        mailbox.capacity(),
        capacity);
    require(
        mailbox.control().bytes() >= Mailbox.controlBytes(mailbox.capacity())
            && mailbox.transit().bytes() >= (long) mailbox.capacity() * layout.chunkBytes(),
        "a mailbox of %d requests has %d control and %d transit bytes, too few",
        mailbox.capacity(),
        mailbox.control().bytes(),
        mailbox.transit().bytes());
  }

  private static void check(
      StepBatch batch, KvLayer layer, AttentionShape shape, AttentionState state) {
    require(
        batch.rows() <= state.maxRows(),
        "an attention state for %d rows is too small for %d",
        state.maxRows(),
        batch.rows());
    long perHead =
        4L * (2 + shape.headDim()) * (1 + Workspace.ATTENTION_SPLITS)
            + 4L * state.passChunks() * layer.layout().grid().chunk();
    bytes("attention state", state.buffer(), state.maxRows() * (long) shape.heads() * perHead);
  }

  private static void check(Selection selection, AttentionState state) {
    require(
        selection.passChunks() <= state.passChunks(),
        "an attention state for passes of %d chunks is too small for %d",
        state.passChunks(),
        selection.passChunks());
  }

  private static void check(KvLayout layout, FramePool frames) {
    require(
        frames.frames() >= 0
            && frames.memory().bytes() >= (long) frames.frames() * layout.extentBytes(),
        "%d frames of %d bytes do not fit %s of %d bytes",
        frames.frames(),
        layout.extentBytes(),
        frames.memory().label(),
        frames.memory().bytes());
  }

  private static void check(KvLayout layout, PrefillScratch scratch, int start, int rows) {
    require(
        start >= 0 && rows >= 1 && start <= scratch.maxTokens() - rows,
        "tokens %d to %d are not within a scratch of %d",
        start,
        (long) start + rows,
        scratch.maxTokens());
    bytes(
        "prefill scratch",
        scratch.buffer(),
        2L * layout.kvHeads() * scratch.maxTokens() * layout.rowBytes());
  }

  private static void checkSeat(KvLayer layer, int seat) {
    require(seat >= 0 && seat < layer.seats(), "seat %d is not one of %d", seat, layer.seats());
  }

  private static int positive(String name, int value) {
    if (value < 1) {
      throw new IllegalArgumentException(name + " must be positive, got " + value);
    }
    return value;
  }

  @FormatMethod
  private static void require(boolean holds, String message, Object... values) {
    if (!holds) {
      throw new IllegalArgumentException(message.formatted(values));
    }
  }
}
