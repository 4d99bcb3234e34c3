package dev.kvdrive.cuda;

import dev.kvdrive.device.Queue;
import dev.kvdrive.kv.extent.SequenceIdentity;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.kv.tier.TieredStore;
import dev.kvdrive.kv.window.KvState;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelShape;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.prefill.Prefill;
import dev.kvdrive.prefill.ProjectionObserver;
import dev.kvdrive.prefill.PromptPrefill;
import dev.kvdrive.transformer.StepOutput;
import dev.kvdrive.transformer.Transformer;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * Time of the prefill of a prompt at a model's shape with random weights: all that is done until
 * the first token, chunks in DRAM, index, clusters and warm windows included.
 *
 * <pre>
 *   PrefillBench SHAPE TOKENS BUDGET INDEX RUNS GPU_GIB DRAM_GIB
 *       SHAPE 8b, 1b, 135m, or 8b:4 for four layers of it; INDEX as ./kvdrive takes it
 * </pre>
 */
final class PrefillBench {
  private static final int SEAT = 0;

  private PrefillBench() {}

  public static void main(String[] args) throws IOException {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    if (args.length != 7) {
      out.println("usage: PrefillBench SHAPE TOKENS BUDGET INDEX RUNS GPU_GIB DRAM_GIB");
      System.exit(2);
    }
    ModelShape shape = shape(args[0]);
    int tokens = Integer.parseInt(args[1]);
    TierBudgets tiers =
        new TierBudgets(Long.parseLong(args[5]) << 30, Long.parseLong(args[6]) << 30, 0);
    try (SyntheticLlama model = new SyntheticLlama(shape, tokens + 64)) {
      double budget = Double.parseDouble(args[2]);
      EngineSizes sizes =
          Planner.plan(
                  PlanRequest.of(
                          model.geometry(),
                          new Load(tokens + 64, 1, 1),
                          budget,
                          KvType.BF16,
                          tiers,
                          DeviceKind.CUDA)
                      .attending(
                          a ->
                              a.withPolicy(PolicyShape.KVDRIVE.withIndex(IndexShape.parse(args[3])))
                                  .withDenseBelow(0)))
              .requireSizes();
      double[] seconds = run(model, sizes, tiers, tokens, Integer.parseInt(args[4]));
      double[] sorted = seconds.clone();
      Arrays.sort(sorted);
      double median = sorted[sorted.length / 2];
      out.printf(
          "%s, %d tokens, budget %s, %s, blocks of %d: %.3f s [%.3f, %.3f], %.0f tokens/s; runs %s%n",
          args[0],
          tokens,
          args[2],
          args[3],
          sizes.prefillBlock(),
          median,
          sorted[0],
          sorted[sorted.length - 1],
          tokens / median,
          Arrays.toString(seconds));
    }
  }

  private static ModelShape shape(String word) {
    String[] parts = word.split(":", 2);
    ModelShape shape =
        switch (parts[0]) {
          case "8b" -> SyntheticLlama.llama8b(32);
          case "1b" -> new ModelShape(16, 2048, 32, 8, 64, 8192, 128_256);
          case "135m" -> new ModelShape(30, 576, 9, 3, 64, 1536, 49_152);
          default -> throw new IllegalArgumentException("no shape " + word);
        };
    return new ModelShape(
        parts.length == 1 ? shape.layers() : Integer.parseInt(parts[1]),
        shape.hidden(),
        shape.heads(),
        shape.kvHeads(),
        shape.headDim(),
        shape.feedForward(),
        shape.vocabulary());
  }

  /** Seconds of each run but the first. */
  private static double[] run(
      SyntheticLlama model, EngineSizes sizes, TierBudgets tiers, int tokens, int runs)
      throws IOException {
    int vocabulary = model.spec().vocabulary();
    try (CudaDevice device = CudaDevice.open(0, tiers.gpu(), tiers.dram());
        Queue queue = device.createQueue("bench");
        Transformer transformer = Transformer.load(device, model, sizes);
        KvState kv = KvState.allocate(device, queue, sizes);
        TieredStore store =
            TieredStore.open(
                sizes,
                device,
                kv.layers(),
                kv.extents(),
                NvmeOptions.in(Files.createTempDirectory("kvdrive-bench")));
        StepOutput output = new StepOutput(device, transformer, sizes.concurrency(), vocabulary);
        Prefill prefill =
            new Prefill(
                device,
                queue,
                transformer,
                kv,
                store,
                output,
                sizes,
                ProjectionObserver.NONE,
                WindowOptions.DEFAULT,
                null)) {
      SplittableRandom random = new SplittableRandom(1);
      return IntStream.range(-1, runs)
          .mapToDouble(
              run -> {
                int[] prompt = random.ints(tokens, 0, vocabulary).toArray();
                store.openSeat(queue, SEAT, new SequenceIdentity("", "run " + run));
                long start = System.nanoTime();
                PromptPrefill running = prefill.begin(prompt, List.of(SEAT), false);
                while (prefill.advance(running) != Prefill.Progress.FINISHED) {
                  // one block of one layer after the other
                }
                double seconds = (System.nanoTime() - start) / 1e9;
                prefill.end(running);
                store.closeSeat(SEAT);
                return seconds;
              })
          .skip(1)
          .toArray();
    }
  }
}
