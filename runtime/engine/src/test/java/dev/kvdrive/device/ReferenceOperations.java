package dev.kvdrive.device;

import dev.kvdrive.device.ReferenceDevice.ReferenceBuffer;
import dev.kvdrive.device.ReferenceDevice.ReferenceWeight;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.KvLayout;
import dev.kvdrive.plan.KvType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Comparator;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/**
 * The operations as their contract says them, one element after the other, in double; what they
 * store is rounded to the device's activation type.
 */
final class ReferenceOperations implements Operations {
  private final ElementType activations;

  ReferenceOperations(ElementType activations) {
    this.activations = activations;
  }

  // --- projections and pointwise work ---

  @Override
  public void embed(
      Queue queue, Weight table, DeviceBuffer tokens, float factor, int rows, Activations out) {
    ReferenceWeight weight = (ReferenceWeight) table;
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            int token = intAt(tokens, row);
            if (token >= weight.rows()) {
              throw new DeviceException(
                  "token %d is not in %s of %d rows"
                      .formatted(token, weight.name(), weight.rows()));
            }
            for (int i = 0; i < weight.cols(); i++) {
              float value = token < 0 ? 0 : weight.values()[token * weight.cols() + i];
              set(out, row, i, (double) factor * value);
            }
          }
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
        () -> {
          for (int row = 0; row < rows; row++) {
            norm(in, row, 0, values(gain), epsilon, out);
          }
        });
  }

  @Override
  public void headNorm(
      Queue queue, Activations x, Weight gain, float epsilon, int rows, int heads) {
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            for (int head = 0; head < heads; head++) {
              norm(x, row, head * gain.cols(), values(gain), epsilon, x);
            }
          }
        });
  }

  private void norm(
      Activations in, int row, int from, float[] gain, float epsilon, Activations out) {
    double sum = 0;
    for (int i = 0; i < gain.length; i++) {
      double value = get(in, row, from + i);
      sum += value * value;
    }
    double factor = 1 / Math.sqrt(sum / gain.length + epsilon);
    for (int i = 0; i < gain.length; i++) {
      set(out, row, from + i, get(in, row, from + i) * factor * gain[i]);
    }
  }

  @Override
  public void matmul(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    submit(
        queue,
        () -> multiply((ReferenceWeight) weight, in, rows, (row, o, sum) -> set(out, row, o, sum)));
  }

  @Override
  public void matmulAdd(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    submit(
        queue,
        () ->
            multiply(
                (ReferenceWeight) weight,
                in,
                rows,
                (row, o, sum) -> set(out, row, o, get(out, row, o) + (float) sum)));
  }

  @Override
  public void logits(Queue queue, Weight weight, Activations in, int rows, Activations out) {
    submit(
        queue,
        () ->
            multiply(
                (ReferenceWeight) weight,
                in,
                rows,
                (row, o, sum) -> setFloat(out.buffer(), at(out, row, o), (float) sum)));
  }

  /** Where a product goes. */
  private interface Store {
    void put(int row, int output, double sum);
  }

  private void multiply(ReferenceWeight weight, Activations in, int rows, Store store) {
    float[] x = new float[weight.cols()];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < x.length; i++) {
        x[i] = get(in, row, i);
      }
      for (int o = 0; o < weight.rows(); o++) {
        double sum = 0;
        int at = o * x.length;
        for (int i = 0; i < x.length; i++) {
          sum += (double) weight.values()[at + i] * x[i];
        }
        store.put(row, o, sum);
      }
    }
  }

  @Override
  public void addBias(Queue queue, Weight bias, Activations x, int rows) {
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            for (int i = 0; i < bias.cols(); i++) {
              set(x, row, i, get(x, row, i) + values(bias)[i]);
            }
          }
        });
  }

  @Override
  public void add(Queue queue, Activations x, int rows, int width, Activations out) {
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            for (int i = 0; i < width; i++) {
              set(out, row, i, get(out, row, i) + get(x, row, i));
            }
          }
        });
  }

  @Override
  public void angles(
      Queue queue, RopeSpec spec, DeviceBuffer positions, int rows, DeviceBuffer out) {
    submit(
        queue,
        () -> {
          int pairs = spec.inverseFrequencies().length;
          for (int row = 0; row < rows; row++) {
            double magnitude = spec.magnitudeAt(intAt(positions, row));
            for (int i = 0; i < pairs; i++) {
              double angle = (double) intAt(positions, row) * spec.inverseFrequencies()[i];
              long at = 2L * (row * pairs + i);
              setFloat(out, at, (float) (Math.cos(angle) * magnitude));
              setFloat(out, at + 1, (float) (Math.sin(angle) * magnitude));
            }
          }
        });
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
        () -> {
          int pairs = spec.inverseFrequencies().length;
          for (int row = 0; row < rows; row++) {
            for (int head = 0; head < heads; head++) {
              for (int i = 0; i < pairs; i++) {
                int first = head * headDim + (spec.interleaved() ? 2 * i : i);
                int second = spec.interleaved() ? first + 1 : first + pairs;
                double cos = floatAt(angles, 2L * (row * pairs + i));
                double sin = floatAt(angles, 2L * (row * pairs + i) + 1);
                double a = get(x, row, first);
                double b = get(x, row, second);
                set(x, row, first, a * cos - b * sin);
                set(x, row, second, b * cos + a * sin);
              }
            }
          }
        });
  }

  @Override
  public void siluMultiply(
      Queue queue, Activations gate, Activations up, int rows, int width, Activations out) {
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            for (int i = 0; i < width; i++) {
              double g = get(gate, row, i);
              set(out, row, i, g / (1 + Math.exp(-g)) * get(up, row, i));
            }
          }
        });
  }

  @Override
  public void argmax(Queue queue, Activations logits, int rows, int width, DeviceBuffer out) {
    submit(
        queue,
        () -> {
          for (int row = 0; row < rows; row++) {
            int best = 0;
            boolean numbers = true;
            for (int i = 0; i < width; i++) {
              numbers &= !Float.isNaN(logit(logits, row, i));
              if (logit(logits, row, i) > logit(logits, row, best)) {
                best = i;
              }
            }
            setInt(out, row, numbers ? best : -1);
          }
        });
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
            forEachRow(
                batch,
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  ChunkGrid grid = layout.grid();
                  for (int head = 0; head < layout.kvHeads(); head++) {
                    int closing = grid.closedChunks(position);
                    if (grid.closedChunks(position + 1) > closing) {
                      int firstRow = grid.sink() + grid.ringSlot(grid.firstToken(closing));
                      int capacity = grid.ringCapacity();
                      long[] tokenRows = new long[grid.chunk()];
                      for (int t = 0; t < grid.chunk(); t++) {
                        tokenRows[t] =
                            grid.sink() + (long) ((firstRow - grid.sink() + t) % capacity);
                      }
                      long base = denseBase(layer, seat, head);
                      closeChunk(
                          layer,
                          seat,
                          head,
                          closing,
                          frames,
                          memory(layer.dense()),
                          t -> base + tokenRows[t] * layout.rowBytes(),
                          (long) grid.denseTokens() * layout.rowBytes());
                    }
                    long denseRow =
                        position < grid.sink() ? position : grid.sink() + grid.ringSlot(position);
                    long at = denseBase(layer, seat, head) + denseRow * layout.rowBytes();
                    for (int i = 0; i < layout.headDim(); i++) {
                      int from = head * layout.headDim() + i;
                      setKv(layout, layer.dense(), at, i, get(keys, row, from));
                      setKv(
                          layout,
                          layer.dense(),
                          at + (long) grid.denseTokens() * layout.rowBytes(),
                          i,
                          get(values, row, from));
                    }
                  }
                }));
  }

  /** Where the key of a token of a chunk lies. */
  private interface KeyRow {
    long offset(int tokenOfChunk);
  }

  private static void closeChunk(
      KvLayer layer,
      int seat,
      int head,
      int chunk,
      FramePool frames,
      MemorySegment source,
      KeyRow rows,
      long keyToValue) {
    KvLayout layout = layer.layout();
    int tokens = layout.grid().chunk();
    int frame = intAt(layer.frameOfExtent(), extentIndex(layer, seat, head, chunk));
    if (frame < 0 || frame >= frames.frames()) {
      throw new DeviceException(
          "chunk %d of layer %d, KV head %d, seat %d closes, but its extent has no DRAM frame (%d)"
              .formatted(chunk, layer.layer(), head, seat, frame));
    }
    long target = chunkInFrame(layout, frame, chunk);
    for (int t = 0; t < tokens; t++) {
      long bytes = layout.rowBytes();
      MemorySegment.copy(
          source, rows.offset(t), frames.memory().segment(), target + t * bytes, bytes);
      MemorySegment.copy(
          source,
          rows.offset(t) + keyToValue,
          frames.memory().segment(),
          target + layout.valueOffset() + t * bytes,
          bytes);
    }
    long representative =
        (((long) seat * layout.kvHeads() + head) * layer.maxChunks() + chunk)
            * layout.representativeBytes();
    for (int t = 0; t < tokens; t++) {
      float[] key = new float[layout.headDim()];
      for (int i = 0; i < key.length; i++) {
        key[i] = kvAt(layout, source, rows.offset(t), i);
      }
      represent(layout, key, t, memory(layer.representatives()), representative);
    }
  }

  /** Writes a token's part of the representative at {@code at}. */
  static void represent(KvLayout layout, float[] key, int token, MemorySegment memory, long at) {
    int block = layout.rotationBlock();
    float[] rotated = key.clone();
    for (int h = 1; h < block; h *= 2) {
      for (int i = 0; i < key.length; i++) {
        if ((i & h) == 0) {
          float a = rotated[i];
          float b = rotated[i + h];
          rotated[i] = a + b;
          rotated[i + h] = a - b;
        }
      }
    }
    float largest = 0;
    for (float element : rotated) {
      largest = Math.max(largest, Math.abs(element));
    }
    float width = largest < KvLayout.SMALLEST_KEY ? 0 : 0.375f * largest;
    int[] words = new int[layout.codeBytes() / 4];
    for (int i = 0; i < 16 * words.length; i++) {
      float steps = i < key.length && width > 0 ? rotated[i] * (1 / width) : 0;
      words[i / 16] |= Math.clamp(2 + (int) Math.floor(steps), 0, 3) << (2 * (i % 16));
    }
    for (int word = 0; word < words.length; word++) {
      memory.set(
          ValueLayout.JAVA_INT_UNALIGNED,
          at + (long) token * layout.codeBytes() + 4L * word,
          words[word]);
    }
    memory.set(
        ValueLayout.JAVA_SHORT_UNALIGNED,
        at + layout.stepOffset() + 2L * token,
        Bfloat16.round(width / block));
  }

  /**
   * What the representative at {@code at} holds of a token: a rotated key, a block times smaller.
   */
  static double[] represented(KvLayout layout, MemorySegment memory, long at, int token) {
    double step =
        Bfloat16.widen(
            memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, at + layout.stepOffset() + 2L * token));
    double[] key = new double[layout.headDim()];
    for (int i = 0; i < key.length; i++) {
      int word =
          memory.get(
              ValueLayout.JAVA_INT_UNALIGNED,
              at + (long) token * layout.codeBytes() + 4L * (i / 16));
      key[i] = (((word >> (2 * (i % 16))) & 3) - 1.5) * step;
    }
    return key;
  }

  /** An element of a rotated vector, by the definition of the transform. */
  static double rotated(int block, IntToDoubleFunction vector, int i) {
    double sum = 0;
    for (int j = i - i % block; j < i - i % block + block; j++) {
      sum +=
          Integer.bitCount(i & j & (block - 1)) % 2 == 0
              ? vector.applyAsDouble(j)
              : -vector.applyAsDouble(j);
    }
    return sum;
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
            forEachRow(
                batch,
                (row, seat, position) -> {
                  int closed = layer.layout().grid().closedChunks(position + 1);
                  int wanted = Math.min(intAt(batch.selectCounts(), row), selection.maxSelected());
                  int count = Math.min(wanted, closed);
                  for (int head = 0; head < shape.kvHeads(); head++) {
                    long cell = (long) row * shape.kvHeads() + head;
                    score(layer, shape, query, selection, row, seat, head, closed);
                    Comparator<Integer> best =
                        Comparator.comparingDouble(
                            c -> -floatAt(selection.scores(), cell * selection.maxChunks() + c));
                    int[] chosen =
                        IntStream.range(0, closed)
                            .boxed()
                            .sorted(best.thenComparing(Comparator.naturalOrder()))
                            .limit(count)
                            .mapToInt(Integer::intValue)
                            .sorted()
                            .toArray();
                    for (int i = 0; i < chosen.length; i++) {
                      setInt(selection.selected(), cell * selection.maxSelected() + i, chosen[i]);
                    }
                    setInt(selection.selectedCount(), cell, chosen.length);
                  }
                }));
  }

  private void score(
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      int row,
      int seat,
      int head,
      int closed) {
    KvLayout layout = layer.layout();
    double[] merged = new double[closed];
    Arrays.fill(merged, Double.NEGATIVE_INFINITY);
    for (int h = head * shape.groupSize(); h < (head + 1) * shape.groupSize(); h++) {
      int first = h * shape.headDim();
      double[] rotated = new double[shape.headDim()];
      for (int i = 0; i < rotated.length; i++) {
        rotated[i] = rotated(layout.rotationBlock(), j -> get(query, row, first + j), i);
      }
      double[] scores = new double[closed];
      double max = Double.NEGATIVE_INFINITY;
      for (int c = 0; c < closed; c++) {
        long at =
            (((long) seat * shape.kvHeads() + head) * layer.maxChunks() + c)
                * layout.representativeBytes();
        scores[c] = chunkScore(layout, shape, memory(layer.representatives()), at, rotated);
        max = Math.max(max, scores[c]);
      }
      double sum = 0;
      for (double s : scores) {
        sum += Math.exp(s - max);
      }
      double logSum = max + Math.log(sum);
      for (int c = 0; c < closed; c++) {
        merged[c] = Math.max(merged[c], scores[c] - logSum);
      }
    }
    long at = ((long) row * shape.kvHeads() + head) * selection.maxChunks();
    for (int c = 0; c < closed; c++) {
      setFloat(selection.scores(), at + c, (float) merged[c]);
    }
  }

  /** log of the sum of exp(scale * query . key) over the keys of a representative. */
  private static double chunkScore(
      KvLayout layout, AttentionShape shape, MemorySegment memory, long at, double[] rotated) {
    double[] scores = new double[layout.grid().chunk()];
    double max = Double.NEGATIVE_INFINITY;
    for (int t = 0; t < scores.length; t++) {
      double[] key = represented(layout, memory, at, t);
      double sum = 0;
      for (int i = 0; i < key.length; i++) {
        sum += rotated[i] * key[i];
      }
      scores[t] = shape.scale() * sum;
      max = Math.max(max, scores[t]);
    }
    double sum = 0;
    for (double score : scores) {
      sum += Math.exp(score - max);
    }
    return max + Math.log(sum);
  }

  @Override
  public void diff(Queue queue, StepBatch batch, KvLayer layer, Selection selection, int pass) {
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    diff(layer, selection, pass, row, seat, head);
                  }
                }));
  }

  private static void diff(
      KvLayer layer, Selection selection, int pass, int row, int seat, int head) {
    int kvHeads = layer.layout().kvHeads();
    long cell = (long) row * kvHeads + head;
    int from = pass * selection.passChunks();
    int count = passCount(selection, cell, pass);
    int slots = layer.windowSlots()[head];
    long map = ((long) seat * kvHeads + head) * layer.maxChunks();
    long window = windowBase(layer, seat, head);
    boolean[] needed = new boolean[slots];
    int misses = 0;
    for (int i = 0; i < count; i++) {
      int slot = intAt(layer.slotOfChunk(), map + selected(selection, cell, from + i));
      setInt(selection.slots(), cell * selection.passChunks() + i, slot);
      if (slot >= 0) {
        needed[slot] = true;
      } else {
        setInt(selection.misses(), cell * selection.passChunks() + misses++, i);
      }
    }
    setInt(selection.missCount(), cell, misses);
    count(selection, row, Selection.HITS_COUNTER, count - misses);
    int[] leaving =
        IntStream.range(0, slots)
            .filter(slot -> !needed[slot])
            .boxed()
            .sorted(
                Comparator.comparingInt(
                        (Integer slot) -> intAt(layer.chunkOfSlot(), window + slot) < 0 ? 0 : 1)
                    .thenComparingDouble(
                        slot ->
                            intAt(layer.chunkOfSlot(), window + slot) < 0
                                ? 0f
                                : floatAt(layer.attentionOfSlot(), window + slot))
                    .thenComparing(Comparator.naturalOrder()))
            .mapToInt(Integer::intValue)
            .toArray();
    for (int m = 0; m < misses; m++) {
      int i = intAt(selection.misses(), cell * selection.passChunks() + m);
      int slot = leaving[m];
      int victim = intAt(layer.chunkOfSlot(), window + slot);
      if (victim >= 0) {
        setInt(layer.slotOfChunk(), map + victim, -1);
      }
      int chunk = selected(selection, cell, from + i);
      setInt(layer.chunkOfSlot(), window + slot, chunk);
      setInt(layer.slotOfChunk(), map + chunk, slot);
      setFloat(layer.attentionOfSlot(), window + slot, 0);
      setInt(selection.slots(), cell * selection.passChunks() + i, slot);
    }
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
        () -> {
          KvLayout layout = layer.layout();
          boolean stopped = mailbox.acquire(Mailbox.STOPPED) != 0;
          int[] requests = {0};
          forEachRow(
              batch,
              (row, seat, position) -> {
                for (int head = 0; head < layout.kvHeads(); head++) {
                  long cell = (long) row * layout.kvHeads() + head;
                  int misses = intAt(selection.missCount(), cell);
                  for (int m = 0; m < misses; m++) {
                    int i = intAt(selection.misses(), cell * selection.passChunks() + m);
                    int chunk = selected(selection, cell, pass * selection.passChunks() + i);
                    long extent = extentIndex(layer, seat, head, chunk);
                    setInt(layer.lastUse(), extent, position);
                    int frame = intAt(layer.frameOfExtent(), extent);
                    if (frame >= 0) {
                      int slot = intAt(selection.slots(), cell * selection.passChunks() + i);
                      MemorySegment.copy(
                          frames.memory().segment(),
                          chunkInFrame(layout, frame, chunk),
                          memory(layer.window()),
                          (windowBase(layer, seat, head) + slot) * layout.chunkBytes(),
                          layout.chunkBytes());
                      count(selection, row, Selection.DRAM_COUNTER, 1);
                    } else if (stopped) {
                      fault(layer, selection, row, seat, head, i);
                    } else {
                      int transit = (int) (cell * selection.passChunks() + i);
                      int[] request = {layer.layer(), seat, head, chunk, transit, Mailbox.PENDING};
                      for (int word = 0; word < request.length; word++) {
                        mailbox.release(Mailbox.requestWord(requests[0], word), request[word]);
                      }
                      requests[0]++;
                    }
                  }
                }
              });
          if (!stopped) {
            mailbox.release(Mailbox.COUNT, requests[0]);
            if (requests[0] > 0) {
              mailbox.release(Mailbox.ROUND, mailbox.acquire(Mailbox.ROUND) + 1);
              mailbox.doorbell().run();
            }
          }
        });
  }

  private static void fault(
      KvLayer layer, Selection selection, int row, int seat, int head, int indexOfPass) {
    int kvHeads = layer.layout().kvHeads();
    long slotAt = ((long) row * kvHeads + head) * selection.passChunks() + indexOfPass;
    long window = windowBase(layer, seat, head) + intAt(selection.slots(), slotAt);
    int chunk = intAt(layer.chunkOfSlot(), window);
    setInt(layer.slotOfChunk(), ((long) seat * kvHeads + head) * layer.maxChunks() + chunk, -1);
    setInt(layer.chunkOfSlot(), window, -1);
    setFloat(layer.attentionOfSlot(), window, 0);
    setInt(selection.slots(), slotAt, -1);
    count(selection, row, Selection.FAULT_COUNTER, 1);
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
        () -> {
          int requests = mailbox.acquire(Mailbox.COUNT);
          if (requests == 0 || mailbox.acquire(Mailbox.STOPPED) != 0) {
            return;
          }
          long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMillis);
          int round = mailbox.acquire(Mailbox.ROUND);
          while (mailbox.acquire(Mailbox.SERVED) != round) {
            if (System.nanoTime() - deadline >= 0) {
              mailbox.release(Mailbox.STOPPED, 1);
              break;
            }
            LockSupport.parkNanos(20_000);
          }
          for (int request = 0; request < requests; request++) {
            land(layer, selection, mailbox, request);
          }
        });
  }

  private static void land(KvLayer layer, Selection selection, Mailbox mailbox, int request) {
    KvLayout layout = layer.layout();
    int status = mailbox.acquire(Mailbox.requestWord(request, 5));
    int seat = mailbox.acquire(Mailbox.requestWord(request, 1));
    int head = mailbox.acquire(Mailbox.requestWord(request, 2));
    int transit = mailbox.acquire(Mailbox.requestWord(request, 4));
    int row = transit / selection.passChunks() / layout.kvHeads();
    if (status != Mailbox.DELIVERED) {
      fault(layer, selection, row, seat, head, transit % selection.passChunks());
      return;
    }
    int slot = intAt(selection.slots(), transit);
    MemorySegment.copy(
        mailbox.transit().segment(),
        (long) transit * layout.chunkBytes(),
        memory(layer.window()),
        (windowBase(layer, seat, head) + slot) * layout.chunkBytes(),
        layout.chunkBytes());
    count(selection, row, Selection.NVME_COUNTER, 1);
  }

  // Attention state in doubles, [maxRows][heads]{max, sum, values[headDim]}, then the F32 scores of
  // a pass, [maxRows][heads][passChunks][chunk]. A pass is folded token by token in the order of
  // the selection, so that neither passes nor hits and misses change a bit.

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
            forEachRow(
                batch,
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  ChunkGrid grid = layout.grid();
                  int tokens = position + 1;
                  long keyToValue = (long) grid.denseTokens() * layout.rowBytes();
                  for (int head = 0; head < shape.heads(); head++) {
                    Fold fold = new Fold(shape, state, row, head);
                    fold.clear();
                    long base = denseBase(layer, seat, head / shape.groupSize());
                    for (int t = 0; t < Math.min(tokens, grid.sink()); t++) {
                      long at = base + (long) t * layout.rowBytes();
                      double s =
                          product(layout, shape, memory(layer.dense()), at, query, row, head);
                      fold.add(s, layout, memory(layer.dense()), at + keyToValue);
                    }
                    for (int t = grid.firstToken(grid.closedChunks(tokens)); t < tokens; t++) {
                      long at = base + (long) (grid.sink() + grid.ringSlot(t)) * layout.rowBytes();
                      double s =
                          product(layout, shape, memory(layer.dense()), at, query, row, head);
                      fold.add(s, layout, memory(layer.dense()), at + keyToValue);
                    }
                    fold.store();
                  }
                }));
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
            forEachRow(
                batch,
                (row, seat, position) -> {
                  for (int head = 0; head < shape.heads(); head++) {
                    long cell = (long) row * shape.kvHeads() + head / shape.groupSize();
                    int misses = intAt(selection.missCount(), cell);
                    int next = 0;
                    for (int i = 0; i < passCount(selection, cell, pass); i++) {
                      if (next < misses
                          && intAt(selection.misses(), cell * selection.passChunks() + next) == i) {
                        next++;
                      } else {
                        scoreChunk(layer, shape, query, selection, state, row, seat, head, i);
                      }
                    }
                  }
                }));
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
            forEachRow(
                batch,
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  for (int head = 0; head < shape.heads(); head++) {
                    long cell = (long) row * shape.kvHeads() + head / shape.groupSize();
                    int misses = intAt(selection.missCount(), cell);
                    for (int m = 0; m < misses; m++) {
                      int i = intAt(selection.misses(), cell * selection.passChunks() + m);
                      if (intAt(selection.slots(), cell * selection.passChunks() + i) >= 0) {
                        scoreChunk(layer, shape, query, selection, state, row, seat, head, i);
                      }
                    }
                    Fold fold = new Fold(shape, state, row, head);
                    for (int i = 0; i < passCount(selection, cell, pass); i++) {
                      int slot = intAt(selection.slots(), cell * selection.passChunks() + i);
                      if (slot < 0) {
                        continue;
                      }
                      long at = chunkInWindow(layer, seat, head / shape.groupSize(), slot);
                      for (int t = 0; t < layout.grid().chunk(); t++) {
                        double s =
                            floatAt(
                                state.buffer(), scoreIndex(layout, shape, state, row, head, i, t));
                        fold.add(
                            s,
                            layout,
                            memory(layer.window()),
                            at + layout.valueOffset() + (long) t * layout.rowBytes());
                      }
                    }
                    fold.store();
                  }
                }));
  }

  private void scoreChunk(
      KvLayer layer,
      AttentionShape shape,
      Activations query,
      Selection selection,
      AttentionState state,
      int row,
      int seat,
      int head,
      int indexOfPass) {
    KvLayout layout = layer.layout();
    int kvHead = head / shape.groupSize();
    long cell = (long) row * shape.kvHeads() + kvHead;
    int slot = intAt(selection.slots(), cell * selection.passChunks() + indexOfPass);
    long at = chunkInWindow(layer, seat, kvHead, slot);
    for (int t = 0; t < layout.grid().chunk(); t++) {
      double s =
          product(
              layout,
              shape,
              memory(layer.window()),
              at + (long) t * layout.rowBytes(),
              query,
              row,
              head);
      setFloat(
          state.buffer(), scoreIndex(layout, shape, state, row, head, indexOfPass, t), (float) s);
    }
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
            forEachRow(
                batch,
                (row, seat, position) -> {
                  KvLayout layout = layer.layout();
                  for (int head = 0; head < shape.heads(); head++) {
                    Fold fold = new Fold(shape, state, row, head);
                    for (int i = 0; i < shape.headDim(); i++) {
                      set(out, row, head * shape.headDim() + i, fold.values[i] / fold.sum);
                    }
                  }
                  for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
                    long cell = (long) row * shape.kvHeads() + kvHead;
                    long window = windowBase(layer, seat, kvHead);
                    for (int slot = 0; slot < layer.windowSlots()[kvHead]; slot++) {
                      float old = floatAt(layer.attentionOfSlot(), window + slot);
                      setFloat(
                          layer.attentionOfSlot(), window + slot, old * KvLayer.ATTENTION_DECAY);
                    }
                    int selected = intAt(selection.selectedCount(), cell);
                    int lastPass = Math.max(0, selected - 1) / selection.passChunks();
                    for (int i = 0; i < passCount(selection, cell, lastPass); i++) {
                      int slot = intAt(selection.slots(), cell * selection.passChunks() + i);
                      double mass = 0;
                      for (int h = kvHead * shape.groupSize();
                          h < (kvHead + 1) * shape.groupSize();
                          h++) {
                        Fold fold = new Fold(shape, state, row, h);
                        for (int t = 0; t < layout.grid().chunk(); t++) {
                          double s =
                              floatAt(
                                  state.buffer(), scoreIndex(layout, shape, state, row, h, i, t));
                          mass += Math.exp(s - fold.max) / fold.sum;
                        }
                      }
                      if (slot >= 0) {
                        setFloat(layer.attentionOfSlot(), window + slot, (float) mass);
                      }
                    }
                  }
                }));
  }

  private static long scoreIndex(
      KvLayout layout,
      AttentionShape shape,
      AttentionState state,
      int row,
      int head,
      int indexOfPass,
      int token) {
    long states = (long) state.maxRows() * shape.heads() * (2 + shape.headDim()) * 2;
    return states
        + (((long) row * shape.heads() + head) * state.passChunks() + indexOfPass)
            * layout.grid().chunk()
        + token;
  }

  /** Online softmax of one query, read from and written to the state's memory. */
  private static final class Fold {
    private final MemorySegment memory;
    private final long at;
    private double max;
    private double sum;
    private final double[] values;

    Fold(AttentionShape shape, AttentionState state, int row, int head) {
      memory = memory(state.buffer());
      at = ((long) row * shape.heads() + head) * (2 + shape.headDim());
      max = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, at);
      sum = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, at + 1);
      values = new double[shape.headDim()];
      for (int i = 0; i < values.length; i++) {
        values[i] = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, at + 2 + i);
      }
    }

    void clear() {
      max = Double.NEGATIVE_INFINITY;
      sum = 0;
      Arrays.fill(values, 0);
    }

    void add(double score, KvLayout layout, MemorySegment source, long valueRow) {
      if (score > max) {
        double factor = Math.exp(max - score);
        sum *= factor;
        for (int i = 0; i < values.length; i++) {
          values[i] *= factor;
        }
        max = score;
      }
      double weight = Math.exp(score - max);
      sum += weight;
      for (int i = 0; i < values.length; i++) {
        values[i] += weight * kvAt(layout, source, valueRow, i);
      }
    }

    void store() {
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, at, max);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, at + 1, sum);
      for (int i = 0; i < values.length; i++) {
        memory.setAtIndex(ValueLayout.JAVA_DOUBLE, at + 2 + i, values[i]);
      }
    }
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
        () -> {
          KvLayout layout = layer.layout();
          for (int row = 0; row < rows; row++) {
            for (int head = 0; head < layout.kvHeads(); head++) {
              long key = scratchRow(layout, scratch, head, start + row);
              long value = key + (long) scratch.maxTokens() * layout.rowBytes();
              for (int i = 0; i < layout.headDim(); i++) {
                int from = head * layout.headDim() + i;
                setKv(layout, scratch.buffer(), key, i, get(keys, row, from));
                setKv(layout, scratch.buffer(), value, i, get(values, row, from));
              }
            }
          }
        });
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
        () -> {
          KvLayout layout = layer.layout();
          MemorySegment memory = memory(scratch.buffer());
          long keyToValue = (long) scratch.maxTokens() * layout.rowBytes();
          for (int row = 0; row < rows; row++) {
            for (int head = 0; head < shape.heads(); head++) {
              int keys = start + row + 1;
              double[] weights = new double[keys];
              double max = Double.NEGATIVE_INFINITY;
              for (int t = 0; t < keys; t++) {
                long key = scratchRow(layout, scratch, head / shape.groupSize(), t);
                weights[t] = product(layout, shape, memory, key, query, row, head);
                max = Math.max(max, weights[t]);
              }
              double sum = 0;
              double[] values = new double[shape.headDim()];
              for (int t = 0; t < keys; t++) {
                double weight = Math.exp(weights[t] - max);
                sum += weight;
                long value = scratchRow(layout, scratch, head / shape.groupSize(), t) + keyToValue;
                for (int i = 0; i < values.length; i++) {
                  values[i] += weight * kvAt(layout, memory, value, i);
                }
              }
              for (int i = 0; i < values.length; i++) {
                set(out, row, head * shape.headDim() + i, values[i] / sum);
              }
            }
          }
        });
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
        () -> {
          KvLayout layout = layer.layout();
          for (int head = 0; head < layout.kvHeads(); head++) {
            for (int chunk = fromChunk; chunk < toChunk; chunk++) {
              long first = scratchRow(layout, scratch, head, layout.grid().firstToken(chunk));
              closeChunk(
                  layer,
                  seat,
                  head,
                  chunk,
                  frames,
                  memory(scratch.buffer()),
                  t -> first + (long) t * layout.rowBytes(),
                  (long) scratch.maxTokens() * layout.rowBytes());
            }
          }
        });
  }

  @Override
  public void seed(Queue queue, KvLayer layer, PrefillScratch scratch, int seat, int tokens) {
    submit(
        queue,
        () -> {
          KvLayout layout = layer.layout();
          ChunkGrid grid = layout.grid();
          for (int head = 0; head < layout.kvHeads(); head++) {
            for (int t = 0; t < tokens; t++) {
              if (t < grid.sink()) {
                seedRow(layer, scratch, seat, head, t, t);
              } else if (t >= grid.firstToken(grid.closedChunks(tokens))) {
                seedRow(layer, scratch, seat, head, t, grid.sink() + grid.ringSlot(t));
              }
            }
          }
        });
  }

  private static void seedRow(
      KvLayer layer, PrefillScratch scratch, int seat, int head, int token, int denseRow) {
    KvLayout layout = layer.layout();
    long source = scratchRow(layout, scratch, head, token);
    long target = denseBase(layer, seat, head) + (long) denseRow * layout.rowBytes();
    long bytes = layout.rowBytes();
    MemorySegment.copy(memory(scratch.buffer()), source, memory(layer.dense()), target, bytes);
    MemorySegment.copy(
        memory(scratch.buffer()),
        source + scratch.maxTokens() * bytes,
        memory(layer.dense()),
        target + layout.grid().denseTokens() * bytes,
        bytes);
  }

  @Override
  public void resetSeat(Queue queue, KvLayer layer, int seat) {
    submit(
        queue,
        () -> {
          int kvHeads = layer.layout().kvHeads();
          long chunks = (long) kvHeads * layer.maxChunks();
          for (long i = 0; i < chunks; i++) {
            setInt(layer.slotOfChunk(), seat * chunks + i, -1);
          }
          long slots = layer.totalSlots();
          for (long i = 0; i < slots; i++) {
            setInt(layer.chunkOfSlot(), seat * slots + i, -1);
            setFloat(layer.attentionOfSlot(), seat * slots + i, 0);
          }
          long extents = (long) kvHeads * layer.maxExtents();
          for (long i = 0; i < extents; i++) {
            setInt(layer.lastUse(), seat * extents + i, -1);
          }
        });
  }

  // --- addressing ---

  private interface RowWork {
    void run(int row, int seat, int position);
  }

  private static void forEachRow(StepBatch batch, RowWork work) {
    for (int row = 0; row < batch.rows(); row++) {
      int seat = intAt(batch.seats(), row);
      if (seat >= 0) {
        work.run(row, seat, intAt(batch.positions(), row));
      }
    }
  }

  private static int passCount(Selection selection, long cell, int pass) {
    int left = intAt(selection.selectedCount(), cell) - pass * selection.passChunks();
    return Math.clamp(left, 0, selection.passChunks());
  }

  private static int selected(Selection selection, long cell, int index) {
    return intAt(selection.selected(), cell * selection.maxSelected() + index);
  }

  private static void count(Selection selection, int row, int counter, int plus) {
    long at = (long) row * Selection.COUNTERS + counter;
    setInt(selection.counters(), at, intAt(selection.counters(), at) + plus);
  }

  private static long denseBase(KvLayer layer, int seat, int head) {
    KvLayout layout = layer.layout();
    return ((long) seat * layout.kvHeads() + head)
        * 2
        * layout.grid().denseTokens()
        * layout.rowBytes();
  }

  private static long windowBase(KvLayer layer, int seat, int head) {
    return (long) seat * layer.totalSlots() + intAt(layer.slotBase(), head);
  }

  private static long chunkInWindow(KvLayer layer, int seat, int head, int slot) {
    return (windowBase(layer, seat, head) + slot) * layer.layout().chunkBytes();
  }

  private static long extentIndex(KvLayer layer, int seat, int head, int chunk) {
    KvLayout layout = layer.layout();
    return ((long) seat * layout.kvHeads() + head) * layer.maxExtents()
        + chunk / layout.extentChunks();
  }

  private static long chunkInFrame(KvLayout layout, int frame, int chunk) {
    return (long) frame * layout.extentBytes()
        + (long) (chunk % layout.extentChunks()) * layout.chunkBytes();
  }

  private static long scratchRow(KvLayout layout, PrefillScratch scratch, int head, int token) {
    return ((long) head * 2 * scratch.maxTokens() + token) * layout.rowBytes();
  }

  private double product(
      KvLayout layout,
      AttentionShape shape,
      MemorySegment keys,
      long keyRow,
      Activations query,
      int row,
      int head) {
    double sum = 0;
    for (int i = 0; i < shape.headDim(); i++) {
      sum += (double) kvAt(layout, keys, keyRow, i) * get(query, row, head * shape.headDim() + i);
    }
    return shape.scale() * sum;
  }

  private static float kvAt(KvLayout layout, MemorySegment memory, long row, int i) {
    return layout.type() == KvType.F32
        ? memory.get(ValueLayout.JAVA_FLOAT, row + 4L * i)
        : Bfloat16.widen(memory.get(ValueLayout.JAVA_SHORT, row + 2L * i));
  }

  private static void setKv(KvLayout layout, DeviceBuffer buffer, long row, int i, float value) {
    if (layout.type() == KvType.F32) {
      memory(buffer).set(ValueLayout.JAVA_FLOAT, row + 4L * i, value);
    } else {
      memory(buffer).set(ValueLayout.JAVA_SHORT, row + 2L * i, Bfloat16.round(value));
    }
  }

  private float get(Activations x, int row, int i) {
    long index = at(x, row, i);
    return activations == ElementType.F32
        ? floatAt(x.buffer(), index)
        : Bfloat16.widen(memory(x.buffer()).getAtIndex(ValueLayout.JAVA_SHORT, index));
  }

  private void set(Activations x, int row, int i, double value) {
    long index = at(x, row, i);
    if (activations == ElementType.F32) {
      setFloat(x.buffer(), index, (float) value);
    } else {
      memory(x.buffer()).setAtIndex(ValueLayout.JAVA_SHORT, index, Bfloat16.round((float) value));
    }
  }

  /** Logits are F32 on every device. */
  private static float logit(Activations logits, int row, int i) {
    return floatAt(logits.buffer(), at(logits, row, i));
  }

  private static long at(Activations x, int row, int i) {
    return x.offset() + (long) row * x.stride() + i;
  }

  private static int intAt(DeviceBuffer buffer, long index) {
    return memory(buffer).getAtIndex(ValueLayout.JAVA_INT, index);
  }

  private static void setInt(DeviceBuffer buffer, long index, int value) {
    memory(buffer).setAtIndex(ValueLayout.JAVA_INT, index, value);
  }

  private static float floatAt(DeviceBuffer buffer, long index) {
    return memory(buffer).getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }

  private static void setFloat(DeviceBuffer buffer, long index, float value) {
    memory(buffer).setAtIndex(ValueLayout.JAVA_FLOAT, index, value);
  }

  private static float[] values(Weight weight) {
    return ((ReferenceWeight) weight).values();
  }

  private static MemorySegment memory(DeviceBuffer buffer) {
    return ((ReferenceBuffer) buffer).segment();
  }

  private static void submit(Queue queue, Runnable work) {
    ((ReferenceQueue) queue).submit(work);
  }
}
