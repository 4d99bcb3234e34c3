package dev.kvdrive.cuda;

import static dev.kvdrive.plan.DeviceKind.CPU;
import static dev.kvdrive.plan.DeviceKind.CUDA;

import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.decode.DecodeStep;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Selection;
import dev.kvdrive.kv.extent.SequenceIdentity;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.kv.tier.StepFaults;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.model.Model;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.prefill.Prefill;
import dev.kvdrive.prefill.PromptPrefill;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * One prompt answered greedily through the engine's own stages, prefill and decode steps, on any
 * device: what the scheduler does for one sequence, with the times and counts of each step.
 */
final class Answering {
  private static final int SEAT = 0;

  private Answering() {}

  /**
   * What came out.
   *
   * @param tokens the answer
   * @param prefillNanos time of the prefill
   * @param stepNanos time of each decode step, submission to result
   * @param hits selected chunks that were in the window, over all steps, layers and heads
   * @param dram selected chunks that came from DRAM
   * @param nvme selected chunks that came from NVMe
   * @param submissions kernels, copies and fills that one decode step submits to the compute queue;
   *     0 on other devices
   * @param frames DRAM frames with chunks at the end, of all that could have some
   * @param extents extents that the sequence has
   */
  record Outcome(
      @SuppressWarnings("ArrayRecordComponent") int[] tokens, // results, never written
      long prefillNanos,
      @SuppressWarnings("ArrayRecordComponent") long[] stepNanos,
      long hits,
      long dram,
      long nvme,
      long submissions,
      int frames,
      int extents) {
    /** Median time of a decode step in microseconds, without the first ones. */
    double medianStepMicros() {
      long[] settled =
          Arrays.copyOfRange(stepNanos, Math.min(4, stepNanos.length), stepNanos.length);
      Arrays.sort(settled);
      return settled.length == 0 ? Double.NaN : settled[settled.length / 2] / 1e3;
    }

    /** Share of the selected chunks that were in the window. */
    double hitRate() {
      return (double) hits / Math.max(1, hits + dram + nvme);
    }
  }

  /**
   * Answers.
   *
   * @param prompt tokens
   * @param count tokens to generate
   * @param end tokens that end the answer
   * @param vocabulary tokens that may be chosen
   */
  static Outcome answer(
      Device device,
      Model model,
      EngineSizes sizes,
      DecodeOptions options,
      Path nvme,
      int[] prompt,
      int count,
      Set<Integer> end,
      int vocabulary) {
    try (Queue queue = device.createQueue("bench");
        Transformer transformer = Transformer.load(device, model, sizes);
        KvState kv = KvState.allocate(device, queue, sizes);
        TieredStore store =
            TieredStore.open(sizes, device, kv.layers(), kv.extents(), NvmeOptions.in(nvme));
        StepOutput output = new StepOutput(device, transformer, sizes.concurrency(), vocabulary);
        DecodeStep step =
            new DecodeStep(device, queue, transformer, kv, store, output, sizes, options);
        Prefill prefill = new Prefill(device, queue, transformer, kv, store, output, sizes)) {
      long planned = model.geometry().weightBytes(device instanceof CudaDevice ? CUDA : CPU);
      if (transformer.weightBytes() > planned) {
        throw new IllegalStateException(
            "the plan counts %d bytes of weights, the device has %d"
                .formatted(planned, transformer.weightBytes()));
      }
      store.openSeat(queue, SEAT, new SequenceIdentity("", "bench"));
      long start = System.nanoTime();
      PromptPrefill running = prefill.begin(prompt, List.of(SEAT), false);
      while (prefill.advance(running) != Prefill.Progress.FINISHED) {
        // one block of one layer after the other
      }
      final long prefillNanos = System.nanoTime() - start;
      int[] tokens = new int[count];
      long[] nanos = new long[count];
      int n = 0;
      long[] sums = new long[3];
      long submissions = 0;
      int token = output.chosen(0);
      tokens[n++] = token;
      while (n < count && !end.contains(token)) {
        long before = queue instanceof CudaQueue own ? own.submissions() : 0;
        long from = System.nanoTime();
        step.clear();
        step.add(token, prompt.length + n - 1, SEAT, sizes.budget().share(), false);
        step.provide();
        StepFaults faults = step.run(Long.MAX_VALUE / 4);
        nanos[n - 1] = System.nanoTime() - from;
        submissions = queue instanceof CudaQueue own ? own.submissions() - before : 0;
        if (step.counter(0, Selection.FAULT_COUNTER) > 0) {
          throw new IllegalStateException(faults.of(SEAT).message());
        }
        sums[0] += step.counter(0, Selection.HITS_COUNTER);
        sums[1] += step.counter(0, Selection.DRAM_COUNTER);
        sums[2] += step.counter(0, Selection.NVME_COUNTER);
        token = output.chosen(0);
        tokens[n++] = token;
      }
      int closed = sizes.layout().grid().closedChunks(prompt.length + n - 1);
      int extents =
          sizes.layout().layers() * sizes.layout().kvHeads() * sizes.layout().extents(closed);
      Outcome outcome =
          new Outcome(
              Arrays.copyOf(tokens, n),
              prefillNanos,
              Arrays.copyOf(nanos, n - 1),
              sums[0],
              sums[1],
              sums[2],
              submissions,
              sizes.dramFrames(),
              extents);
      store.closeSeat(SEAT);
      return outcome;
    }
  }
}
