package dev.kvdrive.device;

import dev.kvdrive.kv.index.Codebook;
import dev.kvdrive.kv.index.KeyTransform;
import dev.kvdrive.plan.BitPlaneSummary;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.SummaryFormat;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * What one layer's KV state and workspaces contain, on the host: the same for every device. Made of
 * sequences of random keys and values; what no operation may use is NaN.
 */
final class LayerContents {
  private static final byte NOTHING = (byte) 0xff;

  final LayerSizes sizes;
  final KvLayout layout;
  final ElementType activations;
  final SplittableRandom random;

  /** Tokens of each seat. */
  final int[] tokens;

  /** {@code [seat][kvHead][token * headDim + i]}. */
  final float[][][] keys;

  final float[][][] values;

  // The arrays of KvLayer, elements of the layout's type where they are floats.
  final float[] dense;

  /** In the layout's format; steps that no operation may use are NaN. */
  final byte[] summaries;

  /** One for each KV head, of random transforms; empty where the format needs none. */
  final byte[] codebooks;

  /** Chunks as they are in the window; what no operation may use is NaN, or has a NaN as step. */
  final byte[] window;

  final int[] slotBase;
  final int[] slotTable;
  final int[] slotOfChunk;
  final int[] chunkOfSlot;
  final float[] keyOfSlot;
  final int[] usesOfSlot;
  final int[] lastSelected;
  final int[] ages;
  final int[] frameOfExtent;
  final int[] lastUse;

  /** All frames, chunks in their backing form, padding included. */
  final byte[] frames;

  final int frameCount;

  // StepBatch.
  final int[] tokenIds;
  final int[] positions;
  final int[] rowSeats;
  final int[] selectCounts;

  /** Shares of their attention that rows may miss; all 0 unless a test says so. */
  final float[] mayMiss;

  // Selection.
  final float[] scores;
  final int[] selected;
  final int[] selectedCount;
  final int[] slots;
  final int[] misses;
  final int[] missCount;
  final int[] counters;

  /** {@code [rows][heads * headDim]}. */
  final float[] query;

  private byte[] randomCodebooks() {
    byte[] books = new byte[sizes.kvHeads() * sizes.format().codebookBytes(layout)];
    if (sizes.format() instanceof SummaryFormat.BitPlanes(int bits)) {
      BitPlaneSummary format = BitPlaneSummary.of(layout, bits);
      int dim = sizes.headDim();
      for (int head = 0; head < sizes.kvHeads(); head++) {
        float[] deviation = new float[dim];
        for (int i = 0; i < dim; i++) {
          deviation[i] = (float) Math.exp(-3.0 * i / dim);
        }
        KeyTransform transform =
            new KeyTransform(
                gaussians(dim, ElementType.F32), reflection(dim), reflection(dim), deviation);
        Codebook.write(
            format, transform, MemorySegment.ofArray(books), (long) head * format.codebookBytes());
      }
    }
    return books;
  }

  /** A random reflection, which changes no length. */
  private float[] reflection(int dim) {
    float[] normal = gaussians(dim, ElementType.F32);
    double square = 0;
    for (float element : normal) {
      square += (double) element * element;
    }
    float[] matrix = new float[dim * dim];
    for (int i = 0; i < dim; i++) {
      for (int j = 0; j < dim; j++) {
        matrix[i * dim + j] = (float) ((i == j ? 1 : 0) - 2.0 * normal[i] * normal[j] / square);
      }
    }
    return matrix;
  }

  /** Makes a summary one with the keys of another, in another order. */
  void reorderSummary(byte[] source, int from, int to, int turn) {
    summary(0).reorder(source, from, summaries, to, turn);
  }

  private ReferenceSummary summary(int head) {
    return ReferenceSummary.of(sizes.format(), layout, head, MemorySegment.ofArray(codebooks));
  }

  /** Sequences of {@code tokens} tokens, everything closed in DRAM, windows and rows empty. */
  LayerContents(LayerSizes sizes, ElementType activations, long seed, int... tokens) {
    this.sizes = sizes;
    this.activations = activations;
    this.tokens = tokens.clone();
    layout = sizes.layout();
    random = new SplittableRandom(seed);
    int cells = sizes.seats() * sizes.kvHeads();
    int dim = sizes.headDim();
    keys = new float[sizes.seats()][sizes.kvHeads()][];
    values = new float[sizes.seats()][sizes.kvHeads()][];
    dense = nans(cells * 2 * LayerSizes.GRID.denseTokens() * dim);
    summaries = new byte[(int) (cells * sizes.format().indexBytes(layout, sizes.maxChunks()))];
    Arrays.fill(summaries, (byte) 0xff);
    codebooks = randomCodebooks();
    window = nothing(sizes.allSlots() * layout.resident().bytes());
    slotBase = sizes.slotBase();
    slotTable = sizes.slotTable();
    slotOfChunk = filled(cells * sizes.maxChunks(), -1);
    chunkOfSlot = filled(sizes.allSlots(), -1);
    keyOfSlot = new float[sizes.allSlots()];
    usesOfSlot = filled(sizes.allSlots(), -7);
    lastSelected = filled(cells * sizes.maxChunks(), -1);
    ages = new int[cells * LayerReuse.CLASSES];
    frameOfExtent = filled(cells * sizes.maxExtents(), -1);
    lastUse = filled(cells * sizes.maxExtents(), -1);
    frameCount = cells * sizes.maxExtents() + 2;
    frames = nothing(frameCount * layout.extentBytes());
    int rows = sizes.rows();
    int rowCells = rows * sizes.kvHeads();
    tokenIds = filled(rows, -1);
    positions = new int[rows];
    rowSeats = filled(rows, -1);
    selectCounts = new int[rows];
    mayMiss = new float[rows];
    scores = nans(rowCells * sizes.maxChunks());
    selected = filled(rowCells * sizes.maxChunks(), -7);
    selectedCount = filled(rowCells, -7);
    slots = filled(rowCells * sizes.passChunks(), -7);
    misses = filled(rowCells * sizes.passChunks(), -7);
    missCount = filled(rowCells, -7);
    counters = new int[rows * Selection.COUNTERS];
    fill();
    query = gaussians(rows * sizes.heads() * dim, activations);
  }

  private void fill() {
    int[] order = shuffled(frameCount);
    int next = 0;
    for (int seat = 0; seat < sizes.seats(); seat++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        int elements = tokens(seat) * sizes.headDim();
        keys[seat][head] = gaussians(elements, type());
        values[seat][head] = gaussians(elements, type());
        for (int extent = 0; extent < layout.extents(closed(seat)); extent++) {
          frameOfExtent[extentAt(seat, head, extent)] = order[next++];
        }
        derive(seat, head);
      }
    }
  }

  /** Fills ring, index and frames of a (seat, KV head) from its keys and values. */
  void derive(int seat, int head) {
    ChunkGrid grid = LayerSizes.GRID;
    int dim = sizes.headDim();
    for (int token = 0; token < tokens(seat); token++) {
      if (token < grid.sink() || token >= grid.firstToken(closed(seat))) {
        int row = token < grid.sink() ? token : grid.sink() + grid.ringSlot(token);
        int base = cell(seat, head) * 2 * grid.denseTokens();
        System.arraycopy(keys[seat][head], token * dim, dense, (base + row) * dim, dim);
        System.arraycopy(
            values[seat][head], token * dim, dense, (base + grid.denseTokens() + row) * dim, dim);
      }
    }
    for (int chunk = 0; chunk < closed(seat); chunk++) {
      int first = grid.firstToken(chunk);
      if (sizes.format().bytes(layout) > 0) {
        float[][] ofTokens = new float[grid.chunk()][];
        for (int t = 0; t < ofTokens.length; t++) {
          ofTokens[t] =
              Arrays.copyOfRange(keys[seat][head], (first + t) * dim, (first + t + 1) * dim);
        }
        summary(head)
            .write(
                ofTokens,
                chunk % sizes.format().chunks() == 0,
                MemorySegment.ofArray(summaries),
                summaryAt(seat, head, chunk));
      }
      int frame = frameOfExtent[extentAt(seat, head, chunk / layout.extentChunks())];
      if (frame >= 0) {
        writeBacking(seat, head, chunk, frames, chunkInFrame(frame, chunk));
      }
    }
  }

  /** Whether a row may miss a share of its attention. */
  boolean missing() {
    for (float share : mayMiss) {
      if (share > 0) {
        return true;
      }
    }
    return false;
  }

  // --- what a test arranges ---

  /** Makes row {@code row} the newest token of a seat. */
  LayerContents row(int row, int seat, int selectCount) {
    rowSeats[row] = seat;
    positions[row] = tokens(seat) - 1;
    selectCounts[row] = selectCount;
    return this;
  }

  /** Says what a row has selected, for all KV heads alike. */
  void selectInAllHeads(int row, int... chunks) {
    for (int head = 0; head < sizes.kvHeads(); head++) {
      select(row, head, chunks);
    }
  }

  void select(int row, int head, int... chunks) {
    int cell = row * sizes.kvHeads() + head;
    System.arraycopy(chunks, 0, selected, cell * sizes.maxChunks(), chunks.length);
    selectedCount[cell] = chunks.length;
  }

  /** Puts a chunk into a slot of its window. */
  void resident(int seat, int head, int slot, int chunk, float key) {
    int at = slotAt(seat, head, slot);
    chunkOfSlot[at] = chunk;
    slotOfChunk[cell(seat, head) * sizes.maxChunks() + chunk] = slot;
    keyOfSlot[at] = key;
    usesOfSlot[at] = Uses.of(1 + chunk % 5, chunk % 7);
    writeResident(seat, head, chunk, at);
  }

  /** Gives a frame to every extent that a sequence can have. */
  void provideFrames() {
    boolean[] taken = new boolean[frameCount];
    for (int frame : frameOfExtent) {
      if (frame >= 0) {
        taken[frame] = true;
      }
    }
    int next = 0;
    for (int extent = 0; extent < frameOfExtent.length; extent++) {
      if (frameOfExtent[extent] < 0) {
        while (taken[next]) {
          next++;
        }
        frameOfExtent[extent] = next++;
      }
    }
  }

  /** Leaves an extent on NVMe only. */
  void onlyOnNvme(int seat, int head, int extent) {
    int frame = frameOfExtent[extentAt(seat, head, extent)];
    if (frame >= 0) {
      frameOfExtent[extentAt(seat, head, extent)] = -1;
      int size = layout.extentBytes();
      Arrays.fill(frames, frame * size, (frame + 1) * size, NOTHING);
    }
  }

  /** Makes every value, or every key, the absolute value of what it is. */
  void makeValuesAbsolute() {
    for (int seat = 0; seat < sizes.seats(); seat++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        float[] v = values[seat][head];
        for (int i = 0; i < v.length; i++) {
          v[i] = Math.abs(v[i]);
        }
        derive(seat, head);
        for (int slot = 0; slot < sizes.windowSlots(seat, head); slot++) {
          int at = slotAt(seat, head, slot);
          if (chunkOfSlot[at] >= 0) {
            writeResident(seat, head, chunkOfSlot[at], at);
          }
        }
      }
    }
  }

  /** Writes a chunk in its backing form. */
  void writeBacking(int seat, int head, int chunk, byte[] target, int at) {
    ChunkLayout backing = layout.backing();
    int dim = sizes.headDim();
    for (int t = 0; t < backing.chunk(); t++) {
      int from = (LayerSizes.GRID.firstToken(chunk) + t) * dim;
      MemorySegment to = MemorySegment.ofArray(target);
      float[] key = Arrays.copyOfRange(keys[seat][head], from, from + dim);
      ReferenceChunk.write(layout.type(), backing, key, to, at, t);
      float[] value = Arrays.copyOfRange(values[seat][head], from, from + dim);
      ReferenceChunk.write(layout.type(), backing, value, to, at + backing.valueOffset(), t);
    }
  }

  /** A chunk as it is in the window, having come there from its backing form. */
  byte[] resident(int seat, int head, int chunk) {
    byte[] backing = nothing(layout.backing().bytes());
    writeBacking(seat, head, chunk, backing, 0);
    byte[] resident = nothing(layout.resident().bytes());
    ReferenceChunk.bring(
        layout.type(),
        layout.backing(),
        MemorySegment.ofArray(backing),
        0,
        layout.resident(),
        MemorySegment.ofArray(resident),
        0);
    return resident;
  }

  private void writeResident(int seat, int head, int chunk, int slot) {
    byte[] chunkBytes = resident(seat, head, chunk);
    System.arraycopy(chunkBytes, 0, window, slot * chunkBytes.length, chunkBytes.length);
  }

  // --- where things are ---

  KvType type() {
    return sizes.type();
  }

  int tokens(int seat) {
    return seat < tokens.length ? tokens[seat] : 0;
  }

  /** Closed chunks of a seat. */
  int closed(int seat) {
    return LayerSizes.GRID.closedChunks(tokens(seat));
  }

  int cell(int seat, int head) {
    return seat * sizes.kvHeads() + head;
  }

  int slotAt(int seat, int head, int slot) {
    return slotTable[slotBase[seat * (sizes.kvHeads() + 1) + head] + slot];
  }

  int extentAt(int seat, int head, int extent) {
    return cell(seat, head) * sizes.maxExtents() + extent;
  }

  /** First byte of the summary that a chunk belongs to. */
  int summaryAt(int seat, int head, int chunk) {
    int summaries = sizes.format().summaries(sizes.maxChunks());
    return (cell(seat, head) * summaries + chunk / sizes.format().chunks())
        * sizes.format().bytes(layout);
  }

  int chunkInFrame(int frame, int chunk) {
    return frame * layout.extentBytes() + chunk % layout.extentChunks() * layout.backing().bytes();
  }

  // --- numbers ---

  float[] gaussians(int count, KvType type) {
    return gaussians(count, type == KvType.F32 ? ElementType.F32 : ElementType.BF16);
  }

  float[] gaussians(int count, ElementType type) {
    return gaussians(random, count, type);
  }

  /** Normally distributed values that the type represents. */
  static float[] gaussians(SplittableRandom random, int count, ElementType type) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      float value = (float) random.nextGaussian();
      values[i] = type == ElementType.F32 ? value : Bfloat16.widen(Bfloat16.round(value));
    }
    return values;
  }

  int[] shuffled(int count) {
    int[] order = new int[count];
    for (int i = 0; i < count; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }

  /**
   * Bound of a score's error: its sums of absolute terms are at most the product of the norms of a
   * query and of what a summary stands for.
   */
  double scoreError() {
    double norm = 0;
    for (int seat = 0; seat < sizes.seats(); seat++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        for (int chunk = 0; chunk < closed(seat); chunk++) {
          int at = summaryAt(seat, head, chunk);
          norm = Math.max(norm, summary(head).norm(MemorySegment.ofArray(summaries), at));
        }
      }
    }
    return DeviceConformance.SUMMATION * sizes.shape().scale() * largestNorm(query) * norm;
  }

  /** The same of a query's product with a mean of keys. */
  double productError() {
    double norm = 0;
    for (float[][] seat : keys) {
      for (float[] rows : seat) {
        norm = Math.max(norm, largestNorm(rows));
      }
    }
    return DeviceConformance.SUMMATION * sizes.shape().scale() * largestNorm(query) * norm;
  }

  private double largestNorm(float[] rows) {
    double largest = 0;
    for (int from = 0; from < rows.length; from += sizes.headDim()) {
      double sum = 0;
      for (int i = 0; i < sizes.headDim(); i++) {
        sum += (double) rows[from + i] * rows[from + i];
      }
      largest = Math.max(largest, sum);
    }
    return Math.sqrt(largest);
  }

  private static float[] nans(int count) {
    float[] values = new float[count];
    Arrays.fill(values, Float.NaN);
    return values;
  }

  /** Bytes that are NaN in whatever type. */
  private static byte[] nothing(int count) {
    byte[] bytes = new byte[count];
    Arrays.fill(bytes, NOTHING);
    return bytes;
  }

  private static int[] filled(int count, int value) {
    int[] values = new int[count];
    Arrays.fill(values, value);
    return values;
  }
}
