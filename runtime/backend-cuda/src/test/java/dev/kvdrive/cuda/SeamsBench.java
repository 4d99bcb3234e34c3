package dev.kvdrive.cuda;

import dev.kvdrive.cpu.CpuDevice;
import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.device.Device;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.text.ChatMessage;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.Tokenizer;
import dev.kvdrive.text.Tokenizers;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What the CUDA device does at the engine's seams, on the GPU of this machine:
 *
 * <pre>
 *   answer MODEL.gguf MESSAGE.txt TEXT [MESSAGE.txt TEXT ...]
 *       answers each message with a window of the size of a selection, the rest in DRAM and then
 *       half on NVMe, with graphs and with plain launches, on the GPU and on the CPU device;
 *       TEXT is what a right answer contains
 *   layer CONTEXT SEQUENCES BUDGET LAYERS INDEX [int8]
 *       time of each stage of a layer at Llama-3-8B's shape, and of whole steps
 *   products
 *       time of its matrix products with weights in bf16, Q8_0 and Q4_0, against their bytes
 * </pre>
 */
final class SeamsBench {
  private static final double BUDGET = 0.0625;
  private static final int ANSWER_TOKENS = 64;
  private static final long ROOM = 64L << 30;

  private SeamsBench() {}

  public static void main(String[] args) throws IOException {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    Path scratch = Files.createTempDirectory("kvdrive-bench");
    switch (args.length == 0 ? "" : args[0]) {
      case "answer" -> {
        Path model = Path.of(args[1]);
        for (int i = 2; i + 1 < args.length; i += 2) {
          answer(out, model, Files.readString(Path.of(args[i])), args[i + 1], scratch);
        }
      }
      case "layer" -> {
        try (LayerStages stages =
            new LayerStages(
                out,
                Integer.parseInt(args[1]),
                Integer.parseInt(args[2]),
                Double.parseDouble(args[3]),
                Integer.parseInt(args[4]),
                IndexShape.parse(args[5]),
                args.length > 6 && args[6].equals("int8") ? ChunkFormat.INT8 : ChunkFormat.BF16,
                scratch)) {
          stages.run();
        }
      }
      case "products" -> {
        try (ProductBench bench = new ProductBench(out)) {
          bench.run();
        }
      }
      default -> {
        out.println(
            "usage: answer MODEL MESSAGE TEXT ... | layer CONTEXT SEQUENCES BUDGET LAYERS INDEX [int8] | products");
        System.exit(2);
      }
    }
  }

  // --- answers ---

  private static void answer(
      PrintStream out, Path file, String message, String expected, Path scratch) {
    try (Model model = ModelLoader.open(file, 32768, ModelLoader.Verification.NONE)) {
      TokenizerSource source = model.tokenizer();
      if (!(source instanceof TokenizerSource.Gguf gguf)) {
        throw new IllegalArgumentException(file + " is not a GGUF file");
      }
      Tokenizer tokenizer = Tokenizers.fromGguf(gguf.metadata());
      ChatTemplate template = Tokenizers.chatTemplate(gguf.metadata(), null).orElseThrow();
      int[] prompt =
          tokenizer.encode(
              template.prompt(List.of(ChatMessage.of("user", message)), Map.of(), true));
      out.printf(
          "%n%s: a prompt of %d tokens; the answer must contain \"%s\"%n",
          file.getFileName(), prompt.length, expected);
      int[] exact = null;
      for (DeviceKind kind : List.of(DeviceKind.CPU, DeviceKind.CUDA)) {
        for (boolean nvme : new boolean[] {false, true}) {
          for (boolean graphs :
              kind == DeviceKind.CPU ? new boolean[] {false} : new boolean[] {false, true}) {
            EngineSizes sizes = sizes(model, kind, prompt.length + ANSWER_TOKENS, nvme);
            Answering.Outcome outcome;
            try (Device device =
                kind == DeviceKind.CPU ? CpuDevice.open(ROOM, 0) : CudaDevice.open(0, 8L << 30)) {
              outcome =
                  Answering.answer(
                      device,
                      model,
                      sizes,
                      new DecodeOptions(
                          true, DecodeOptions.ELASTIC, graphs, DecodeOptions.DEFAULT_FETCH_TIMEOUT),
                      scratch.resolve(kind + "-" + nvme + "-" + graphs),
                      prompt,
                      ANSWER_TOKENS,
                      tokenizer.special().endOfGeneration(),
                      Math.min(model.spec().vocabulary(), tokenizer.vocabularySize()));
            }
            if (exact == null) {
              exact = outcome.tokens();
            }
            print(out, kind, nvme, graphs, sizes, outcome, tokenizer, expected, exact);
          }
        }
      }
    }
  }

  private static void print(
      PrintStream out,
      DeviceKind kind,
      boolean nvme,
      boolean graphs,
      EngineSizes sizes,
      Answering.Outcome outcome,
      Tokenizer tokenizer,
      String expected,
      int[] reference) {
    String text = tokenizer.decode(outcome.tokens(), true);
    boolean right = text.toLowerCase(Locale.ROOT).contains(expected.toLowerCase(Locale.ROOT));
    out.printf(
        "%-4s %-10s %-6s window %d of %d chunks, frames for %.0f %% of %d extents: %s, %s; prefill %.2f s, step %.0f us, %d submissions; hits %.1f %%, DRAM %d, NVMe %d%n",
        kind,
        nvme ? "half NVMe" : "all DRAM",
        graphs ? "graph" : "plain",
        sizes.windowSlots(),
        sizes.maxChunks(),
        Math.min(100.0, 100.0 * outcome.frames() / outcome.extents()),
        outcome.extents(),
        right ? "right" : "WRONG",
        Arrays.equals(outcome.tokens(), reference) ? "same tokens as the CPU" : "OTHER TOKENS",
        outcome.prefillNanos() / 1e9,
        outcome.medianStepMicros(),
        outcome.submissions(),
        100 * outcome.hitRate(),
        outcome.dram(),
        outcome.nvme());
    if (!right || !Arrays.equals(outcome.tokens(), reference)) {
      out.println("     " + text.replace('\n', ' '));
    }
  }

  /** The smallest window there is, one selection; frames for everything or for a half. */
  private static EngineSizes sizes(Model model, DeviceKind kind, int context, boolean nvme) {
    ModelGeometry geometry = model.geometry();
    long low = 0;
    long high = ROOM;
    while (high - low > 4096) {
      long middle = (low + high) >>> 1;
      if (plan(geometry, kind, context, middle).feasible()) {
        high = middle;
      } else {
        low = middle;
      }
    }
    EngineSizes s = plan(geometry, kind, context, high).requireSizes();
    int extents = s.layout().layers() * s.layout().kvHeads() * s.layout().extents(s.maxChunks());
    return new EngineSizes(
        s.geometry(),
        s.layout(),
        s.load(),
        s.attention(),
        s.activationBytes(),
        s.windowSlots(),
        s.passChunks(),
        s.prefillBlock(),
        s.shortPrompt(),
        nvme ? extents / 2 : s.dramFrames(),
        nvme ? extents : 0,
        NvmeEncryption.NONE);
  }

  private static Plan plan(ModelGeometry geometry, DeviceKind kind, int context, long gpu) {
    return Planner.plan(
        PlanRequest.of(
                geometry,
                new Load(context, 1, 1),
                BUDGET,
                KvType.BF16,
                new TierBudgets(gpu, ROOM, 0),
                kind)
            .attending(a -> a.withDenseBelow(0)));
  }
}
