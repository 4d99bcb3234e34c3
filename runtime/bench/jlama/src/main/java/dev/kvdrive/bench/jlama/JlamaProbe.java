package dev.kvdrive.bench.jlama;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.tensor.KvBufferCache;
import com.github.tjake.jlama.tensor.operations.TensorOperationsProvider;
import dev.kvdrive.bench.speed.Probe;
import dev.kvdrive.bench.speed.ProbeProcess;
import dev.kvdrive.bench.speed.SpeedRun;
import java.io.File;
import java.util.Optional;
import java.util.Random;

/**
 * Jlama in a process of its own, called as its own generation loop calls it: the prompt as one
 * batch, then token by token with its greedy sampler. Arguments: Hugging Face folder, type of
 * weights (BF16: as they are; Q4: quantized while loading), prompt tokens, tokens to write,
 * threads.
 */
public final class JlamaProbe implements Probe {
  private final AbstractModel model;
  private final int promptTokens;
  private final int tokens;
  private final int threads;
  private final Random random = new Random(1);

  private JlamaProbe(String folder, int promptTokens, int tokens, int threads) {
    this.promptTokens = promptTokens;
    this.tokens = tokens;
    this.threads = threads;
    // Working types as Jlama's own command line has them by default.
    model =
        ModelSupport.loadModel(
            new File(folder), null, DType.F32, DType.I8, Optional.empty(), Optional.of(threads));
  }

  public static void main(String[] args) {
    ProbeProcess.serve(
        () ->
            new JlamaProbe(
                args[0],
                Integer.parseInt(args[1]),
                Integer.parseInt(args[2]),
                Integer.parseInt(args[3])));
  }

  @Override
  public String description() {
    return "Jlama 0.8.4, %d threads, %s".formatted(threads, TensorOperationsProvider.get().name());
  }

  @Override
  public SpeedRun run() {
    int vocabulary = model.getConfig().vocabularySize;
    int[] prompt = random.ints(promptTokens, 0, vocabulary).toArray();
    try (KvBufferCache cache = new KvBufferCache(model);
        KvBufferCache.KvBuffer kv = cache.getEphemeralKvBuffer();
        var logits = model.makeDenseTensor(vocabulary)) {
      long start = System.nanoTime();
      int next;
      try (var states = model.batchForward(prompt, 0, kv)) {
        next = model.sample(states.slice(states.shape().first() - 1), 0, 0, logits);
      }
      long first = System.nanoTime();
      for (int i = 1; i < tokens; i++) {
        try (var state = model.forward(next, promptTokens + i - 1, kv, Optional.empty())) {
          next = model.sample(state, 0, 0, logits);
        }
      }
      long end = System.nanoTime();
      return new SpeedRun(
          promptTokens,
          tokens - 1,
          first - start,
          end - first,
          promptTokens + tokens / 2.0,
          Double.NaN,
          Double.NaN);
    }
  }

  @Override
  public void close() {
    model.close();
  }
}
