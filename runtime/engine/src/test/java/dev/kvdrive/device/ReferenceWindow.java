package dev.kvdrive.device;

import dev.kvdrive.plan.KvLayout;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;

/** Keys, look-ups and transfers of a window, as the contract says them. */
final class ReferenceWindow extends ReferenceMemory implements WindowOperations {
  ReferenceWindow(ElementType activations) {
    super(activations);
  }

  @Override
  public void key(Queue queue, Keys a) {
    StepBatch batch = a.step().batch();
    KvLayer layer = a.step().layer();
    Selection selection = a.selection();
    submit(
        queue,
        () ->
            forEachRow(
                batch,
                (row, seat, position) -> {
                  int kvHeads = layer.layout().kvHeads();
                  int closed = layer.layout().grid().closedChunks(position + 1);
                  for (int head = 0; head < kvHeads; head++) {
                    long cell = (long) row * kvHeads + head;
                    boolean all = intAt(selection.selectedCount(), cell) >= closed;
                    for (int slot = 0; slot < windowSlots(layer, seat, head); slot++) {
                      long at = slotAt(layer, seat, head, slot);
                      int chunk = intAt(layer.window().chunkOfSlot(), at);
                      if (chunk >= 0) {
                        float score =
                            all
                                ? -chunk
                                : floatAt(selection.scores(), cell * selection.maxChunks() + chunk);
                        if (a.uses() && !all) {
                          score += Uses.merit(intAt(layer.window().usesOfSlot(), at), position);
                        }
                        setFloat(layer.window().keyOfSlot(), at, score);
                      }
                    }
                  }
                }));
  }

  @Override
  public void recent(Queue queue, Pass of) {
    Selection selection = of.selection();
    KvLayer layer = of.layer();
    submit(
        queue,
        () ->
            forEachRow(
                of.batch(),
                (row, seat, position) -> {
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    long cell = (long) row * layer.layout().kvHeads() + head;
                    for (int i = 0; i < passCount(selection, cell, of.pass()); i++) {
                      int slot = intAt(selection.slots(), cell * selection.passChunks() + i);
                      setFloat(
                          layer.window().keyOfSlot(), slotAt(layer, seat, head, slot), position);
                    }
                  }
                }));
  }

  @Override
  public void forget(Queue queue, Forget a) {
    KvLayer layer = a.step().layer();
    Selection selection = a.selection();
    submit(
        queue,
        () ->
            forEachRow(
                a.step().batch(),
                (row, seat, position) -> {
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    long cell = (long) row * layer.layout().kvHeads() + head;
                    Set<Integer> kept = new HashSet<>();
                    for (int i = 0; i < intAt(selection.selectedCount(), cell); i++) {
                      if (a.which() == Forgotten.UNSELECTED) {
                        kept.add(selected(selection, cell, i));
                      }
                    }
                    for (int slot = 0; slot < windowSlots(layer, seat, head); slot++) {
                      long at = slotAt(layer, seat, head, slot);
                      int chunk = intAt(layer.window().chunkOfSlot(), at);
                      if (chunk >= 0 && !kept.contains(chunk)) {
                        leaves(layer, seat, head, slot);
                      }
                    }
                  }
                }));
  }

  @Override
  public void diff(Queue queue, Pass of) {
    submit(
        queue,
        () ->
            forEachRow(
                of.batch(),
                (row, seat, position) -> {
                  for (int head = 0; head < of.layer().layout().kvHeads(); head++) {
                    diff(of.layer(), of.selection(), of.pass(), row, seat, head, position);
                  }
                }));
  }

  private static void diff(
      KvLayer layer, Selection selection, int pass, int row, int seat, int head, int position) {
    int kvHeads = layer.layout().kvHeads();
    long cell = (long) row * kvHeads + head;
    int from = pass * selection.passChunks();
    int count = passCount(selection, cell, pass);
    int slots = windowSlots(layer, seat, head);
    long map = ((long) seat * kvHeads + head) * layer.maxChunks();
    boolean[] needed = new boolean[slots];
    int misses = 0;
    for (int i = 0; i < count; i++) {
      int slot = intAt(layer.window().slotOfChunk(), map + selected(selection, cell, from + i));
      setInt(selection.slots(), cell * selection.passChunks() + i, slot);
      if (slot >= 0) {
        needed[slot] = true;
        long at = slotAt(layer, seat, head, slot);
        int times = Uses.times(intAt(layer.window().usesOfSlot(), at));
        setInt(layer.window().usesOfSlot(), at, Uses.of(times + 1, position));
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
                        (Integer slot) ->
                            intAt(layer.window().chunkOfSlot(), slotAt(layer, seat, head, slot)) < 0
                                ? 0
                                : 1)
                    .thenComparingDouble(
                        slot ->
                            intAt(layer.window().chunkOfSlot(), slotAt(layer, seat, head, slot)) < 0
                                ? 0f
                                : floatAt(
                                    layer.window().keyOfSlot(), slotAt(layer, seat, head, slot)))
                    .thenComparing(Comparator.naturalOrder()))
            .mapToInt(Integer::intValue)
            .toArray();
    for (int m = 0; m < misses; m++) {
      int i = intAt(selection.misses(), cell * selection.passChunks() + m);
      int slot = leaving[m];
      if (intAt(layer.window().chunkOfSlot(), slotAt(layer, seat, head, slot)) >= 0) {
        leaves(layer, seat, head, slot);
      }
      int chunk = selected(selection, cell, from + i);
      int before = Uses.timesWhileAbsent(intAt(layer.window().slotOfChunk(), map + chunk));
      setInt(layer.window().chunkOfSlot(), slotAt(layer, seat, head, slot), chunk);
      setInt(
          layer.window().usesOfSlot(),
          slotAt(layer, seat, head, slot),
          Uses.of(before + 1, position));
      setInt(layer.window().slotOfChunk(), map + chunk, slot);
      setInt(selection.slots(), cell * selection.passChunks() + i, slot);
    }
  }

  @Override
  public void fetch(Queue queue, Fetch a) {
    StepBatch batch = a.of().batch();
    KvLayer layer = a.of().layer();
    Selection selection = a.of().selection();
    int pass = a.of().pass();
    FramePool frames = a.frames();
    Mailbox mailbox = a.mailbox();
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
                      ReferenceChunk.bring(
                          layout.type(),
                          layout.backing(),
                          frames.memory().segment(),
                          chunkInFrame(layout, frame, chunk),
                          layout.resident(),
                          memory(layer.window().chunks()),
                          slotAt(layer, seat, head, slot) * layout.resident().bytes());
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

  @Override
  public void land(Queue queue, Land a) {
    KvLayer layer = a.of().layer();
    Selection selection = a.of().selection();
    Mailbox mailbox = a.mailbox();
    int timeoutMillis = a.timeoutMillis();
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

  @Override
  public void prefetch(Queue queue, Prefetch a) {
    KvLayer layer = a.of().layer();
    Selection selection = a.of().selection();
    int pass = a.of().pass();
    submit(
        queue,
        () ->
            forEachRow(
                a.of().batch(),
                (row, seat, position) -> {
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    long cell = (long) row * layer.layout().kvHeads() + head;
                    int misses = intAt(selection.missCount(), cell);
                    for (int m = 0; m < misses; m++) {
                      int i = intAt(selection.misses(), cell * selection.passChunks() + m);
                      int chunk = selected(selection, cell, pass * selection.passChunks() + i);
                      long extent = extentIndex(layer, seat, head, chunk);
                      int frame = intAt(layer.frameOfExtent(), extent);
                      if (frame < 0) {
                        takeOut(layer, selection, row, seat, head, i);
                      } else {
                        setInt(layer.lastUse(), extent, position);
                        int slot = intAt(selection.slots(), cell * selection.passChunks() + i);
                        ReferenceChunk.bring(
                            layer.layout().type(),
                            layer.layout().backing(),
                            a.frames().memory().segment(),
                            chunkInFrame(layer.layout(), frame, chunk),
                            layer.layout().resident(),
                            memory(layer.window().chunks()),
                            slotAt(layer, seat, head, slot) * layer.layout().resident().bytes());
                        if (a.marks() != null) {
                          setInt(a.marks(), slotAt(layer, seat, head, slot), 1);
                        }
                        count(selection, row, Selection.DRAM_COUNTER, 1);
                      }
                    }
                  }
                }));
  }

  @Override
  public void credit(Queue queue, Credit a) {
    KvLayer layer = a.of().layer();
    Selection selection = a.of().selection();
    submit(
        queue,
        () ->
            forEachRow(
                a.of().batch(),
                (row, seat, position) -> {
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    long cell = (long) row * layer.layout().kvHeads() + head;
                    Set<Integer> missed = new HashSet<>();
                    for (int m = 0; m < intAt(selection.missCount(), cell); m++) {
                      missed.add(intAt(selection.misses(), cell * selection.passChunks() + m));
                    }
                    for (int i = 0; i < passCount(selection, cell, a.of().pass()); i++) {
                      int slot = intAt(selection.slots(), cell * selection.passChunks() + i);
                      long at = slotAt(layer, seat, head, slot);
                      if (!missed.contains(i)) {
                        count(selection, row, Selection.PREFETCHED_COUNTER, intAt(a.marks(), at));
                      }
                      setInt(a.marks(), at, 0);
                    }
                  }
                }));
  }

  @Override
  public void observe(Queue queue, Observe a) {
    KvLayer layer = a.step().layer();
    Selection selection = a.selection();
    LayerReuse reuse = a.reuse();
    submit(
        queue,
        () ->
            forEachRow(
                a.step().batch(),
                (row, seat, position) -> {
                  int closed = layer.layout().grid().closedChunks(position + 1);
                  for (int head = 0; head < layer.layout().kvHeads(); head++) {
                    long cell = (long) row * layer.layout().kvHeads() + head;
                    long window = (long) seat * layer.layout().kvHeads() + head;
                    int count = intAt(selection.selectedCount(), cell);
                    for (int i = 0; i < count && count < closed; i++) {
                      long at = window * layer.maxChunks() + selected(selection, cell, i);
                      int last = intAt(reuse.lastSelected(), at);
                      if (last != position) {
                        int age = last < 0 ? LayerReuse.NEVER : LayerReuse.classOf(position - last);
                        long counted = window * LayerReuse.CLASSES + age;
                        setInt(reuse.ages(), counted, intAt(reuse.ages(), counted) + 1);
                        setInt(reuse.lastSelected(), at, position);
                      }
                    }
                  }
                }));
  }

  @Override
  public void trim(Queue queue, Trim a) {
    KvLayer layer = a.layer();
    int seat = a.seat();
    submit(
        queue,
        () -> {
          for (int head = 0; head < layer.layout().kvHeads(); head++) {
            long cell = (long) seat * layer.layout().kvHeads() + head;
            int slots = windowSlots(layer, seat, head);
            for (int place = intAt(a.keep(), cell); place < slots; place++) {
              if (intAt(layer.window().chunkOfSlot(), slotAt(layer, seat, head, place)) >= 0) {
                leaves(layer, seat, head, place);
              }
            }
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
    ReferenceChunk.bring(
        layout.type(),
        layout.backing(),
        mailbox.transit().segment(),
        (long) transit * layout.backing().bytes(),
        layout.resident(),
        memory(layer.window().chunks()),
        slotAt(layer, seat, head, slot) * layout.resident().bytes());
    count(selection, row, Selection.NVME_COUNTER, 1);
  }

  private static void fault(
      KvLayer layer, Selection selection, int row, int seat, int head, int indexOfPass) {
    takeOut(layer, selection, row, seat, head, indexOfPass);
    count(selection, row, Selection.FAULT_COUNTER, 1);
  }

  private static void takeOut(
      KvLayer layer, Selection selection, int row, int seat, int head, int indexOfPass) {
    int kvHeads = layer.layout().kvHeads();
    long slotAt = ((long) row * kvHeads + head) * selection.passChunks() + indexOfPass;
    leaves(layer, seat, head, intAt(selection.slots(), slotAt));
    setInt(selection.slots(), slotAt, -1);
  }

  /** Empties a place of a window. */
  private static void leaves(KvLayer layer, int seat, int head, int place) {
    long slot = slotAt(layer, seat, head, place);
    int chunk = intAt(layer.window().chunkOfSlot(), slot);
    setInt(
        layer.window().slotOfChunk(),
        ((long) seat * layer.layout().kvHeads() + head) * layer.maxChunks() + chunk,
        Uses.absent(Uses.times(intAt(layer.window().usesOfSlot(), slot))));
    setInt(layer.window().chunkOfSlot(), slot, -1);
  }
}
