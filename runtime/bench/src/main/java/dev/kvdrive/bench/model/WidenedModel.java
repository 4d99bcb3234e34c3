package dev.kvdrive.bench.model;

import dev.kvdrive.model.LayerTensors;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.model.TransformerSpec;
import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.model.tensor.TensorType;
import dev.kvdrive.plan.ModelShape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A small model in the shape of a large one: it computes what the small one computes, at the cost
 * of the large one, so that speed can be measured with attention that looks at something.
 *
 * <ul>
 *   <li>The residual stream is filled up with zeros; gains of norms are multiplied by {@code
 *       sqrt(old / new)} and the epsilon by {@code old / new}, since a mean goes over more
 *       elements.
 *   <li>Heads are repeated in turn, query heads with the KV heads that they belong to, and what a
 *       head adds is divided by how often it is there.
 *   <li>Rotary pair {@code i} becomes pair {@code i * new / old} of a longer head, which turns as
 *       fast; the pairs between are zero. Queries are multiplied by {@code sqrt(new / old)}, by
 *       which the larger head scales them down.
 *   <li>Neurons of the MLP are filled up with zeros; layers are repeated from the first on, and
 *       what a repeated one adds is zero: its attention is real, its effect none.
 *   <li>The vocabulary is filled up with zeros; the tokenizer does not know these tokens, so none
 *       is ever chosen.
 * </ul>
 */
public final class WidenedModel {
  private final Model source;
  private final TransformerSpec from;
  private final ModelShape to;
  private final TensorType type;

  /** Elements of a head for each of the source's. */
  private final int stretch;

  private WidenedModel(Model source, ModelShape to, TensorType type) {
    this.source = source;
    this.to = to;
    this.type = type;
    from = source.spec();
    stretch = to.headDim() / from.headDim();
  }

  /**
   * Writes a model in a shape to a GGUF file.
   *
   * @param source a Llama of a GGUF file; stays the caller's
   * @param type of the matrices: BF16, F32 or Q8_0
   * @param target written anew, whole or not at all
   * @throws IllegalArgumentException if the model cannot have the shape, with what does not fit
   * @throws UncheckedIOException if the file cannot be written
   */
  public static void write(Model source, ModelShape shape, TensorType type, Path target) {
    Map<String, Object> metadata = requirePlain(source);
    requireRoom(source.spec(), shape);
    WidenedModel widened = new WidenedModel(source, shape, type);
    try {
      Path folder = Objects.requireNonNull(target.toAbsolutePath().getParent());
      Files.createDirectories(folder);
      Path fresh = Files.createTempFile(folder, "part", null);
      try {
        GgufFile.write(fresh, widened.metadata(metadata), widened.tensors());
        Files.move(
            fresh, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      } finally {
        Files.deleteIfExists(fresh);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("%s cannot be made: %s".formatted(target, e), e);
    }
  }

  private static Map<String, Object> requirePlain(Model source) {
    TransformerSpec spec = source.spec();
    boolean plain =
        spec.architecture().equals("llama")
            && spec.multipliers().equals(TransformerSpec.Multipliers.NONE)
            && spec.unrotatedLayers().isEmpty()
            && spec.rope().rotaryDim() == spec.headDim()
            && spec.rope().magnitudeAt(spec.maxContext() - 1) == 1
            && source.layers().stream().allMatch(layer -> layer.all().count() == 9);
    if (!plain
        || !(source.tokenizer() instanceof TokenizerSource.Gguf gguf)
        || gguf.metadata().keySet().stream().anyMatch(k -> k.startsWith("llama.rope.scaling"))) {
      throw new IllegalArgumentException(
          "%s is not a plain Llama of a GGUF file (no biases, every element of a head rotated, rotation not scaled); widen another"
              .formatted(source.geometry().name()));
    }
    return gguf.metadata();
  }

  private static void requireRoom(TransformerSpec from, ModelShape to) {
    List<String> small = new ArrayList<>();
    less(small, "layers", from.layers(), to.layers());
    less(small, "hidden elements", from.hidden(), to.hidden());
    less(small, "KV heads", from.kvHeads(), to.kvHeads());
    less(
        small,
        "query heads for each KV head",
        from.heads() / from.kvHeads(),
        to.heads() / to.kvHeads());
    less(small, "MLP neurons", from.feedForward(), to.feedForward());
    less(small, "tokens in the vocabulary", from.vocabulary(), to.vocabulary());
    if (to.headDim() % from.headDim() != 0) {
      small.add("heads of %d elements, no multiple of %d".formatted(to.headDim(), from.headDim()));
    }
    if (!small.isEmpty()) {
      throw new IllegalArgumentException(
          "%s cannot have this shape: it has %s; take a larger shape or a smaller model"
              .formatted(from.name(), String.join(", ", small)));
    }
  }

  private static void less(List<String> small, String what, int from, int to) {
    if (to < from) {
      small.add("%d %s, fewer than %d".formatted(to, what, from));
    }
  }

  private Map<String, Object> metadata(Map<String, Object> all) {
    Map<String, Object> metadata = new LinkedHashMap<>();
    metadata.put("general.architecture", "llama");
    metadata.put("general.name", from.name() + ", widened");
    metadata.put("general.alignment", 32);
    metadata.put("llama.block_count", to.layers());
    metadata.put("llama.context_length", from.maxContext());
    metadata.put("llama.embedding_length", to.hidden());
    metadata.put("llama.feed_forward_length", to.feedForward());
    metadata.put("llama.attention.head_count", to.heads());
    metadata.put("llama.attention.head_count_kv", to.kvHeads());
    metadata.put(
        "llama.attention.layer_norm_rms_epsilon", from.rmsEpsilon() * from.hidden() / to.hidden());
    metadata.put("llama.attention.key_length", to.headDim());
    metadata.put("llama.attention.value_length", to.headDim());
    metadata.put("llama.rope.dimension_count", to.headDim());
    metadata.put("llama.vocab_size", to.vocabulary());
    all.forEach(
        (key, value) -> {
          if (key.startsWith("tokenizer.") || key.equals("llama.rope.freq_base")) {
            metadata.put(key, value);
          }
        });
    return metadata;
  }

  private List<TensorSource> tensors() {
    int queries = to.heads() * to.headDim();
    int keys = to.kvHeads() * to.headDim();
    List<TensorSource> all = new ArrayList<>();
    all.add(padded("token_embd.weight", source.embedding(), to.vocabulary(), to.hidden()));
    for (int i = 0; i < to.layers(); i++) {
      LayerTensors layer = source.layers().get(i % from.layers());
      boolean repeated = i >= from.layers();
      String at = "blk." + i + ".";
      all.add(norm(at + "attn_norm.weight", Objects.requireNonNull(layer.attentionNorm())));
      all.add(rotated(at + "attn_q.weight", layer.query(), queries, true));
      all.add(rotated(at + "attn_k.weight", layer.key(), keys, false));
      all.add(values(at + "attn_v.weight", layer.value(), keys));
      all.add(output(at + "attn_output.weight", layer.output(), queries, repeated));
      all.add(norm(at + "ffn_norm.weight", Objects.requireNonNull(layer.mlpNorm())));
      all.add(padded(at + "ffn_gate.weight", layer.gate(), to.feedForward(), to.hidden()));
      all.add(padded(at + "ffn_up.weight", layer.up(), to.feedForward(), to.hidden()));
      all.add(
          repeated
              ? matrix(at + "ffn_down.weight", to.hidden(), to.feedForward(), (row, out) -> {})
              : padded(at + "ffn_down.weight", layer.down(), to.hidden(), to.feedForward()));
    }
    all.add(norm("output_norm.weight", source.outputNorm()));
    if (!source.output().name().equals(source.embedding().name())) {
      all.add(padded("output.weight", source.output(), to.vocabulary(), to.hidden()));
    }
    return all;
  }

  /** A matrix whose rows begin with zeros. */
  private TensorSource matrix(String name, int rows, int cols, TensorSource.Rows fill) {
    return new TensorSource(
        name,
        type,
        List.of(rows, cols),
        (row, out) -> {
          Arrays.fill(out, 0);
          fill.row(row, out);
        });
  }

  private TensorSource padded(String name, TensorData data, int rows, int cols) {
    return matrix(
        name,
        rows,
        cols,
        (row, out) -> {
          if (row < data.rows()) {
            Dequantizer.row(data, row, out, 0);
          }
        });
  }

  private TensorSource norm(String name, TensorData data) {
    float factor = (float) Math.sqrt((double) from.hidden() / to.hidden());
    return new TensorSource(
        name,
        TensorType.F32,
        List.of(to.hidden()),
        (row, out) -> {
          Arrays.fill(out, 0);
          Dequantizer.row(data, 0, out, 0);
          for (int i = 0; i < from.hidden(); i++) {
            out[i] *= factor;
          }
        });
  }

  private TensorSource rotated(String name, TensorData data, int rows, boolean queries) {
    float factor = queries ? (float) Math.sqrt(stretch) : 1;
    return matrix(
        name,
        rows,
        to.hidden(),
        (row, out) -> {
          int head = row / to.headDim();
          int element = sourceElement(row % to.headDim());
          if (element < 0) {
            return;
          }
          int of = queries ? sourceQueryHead(head) : head % from.kvHeads();
          Dequantizer.row(data, of * from.headDim() + element, out, 0);
          for (int i = 0; queries && i < from.hidden(); i++) {
            out[i] *= factor;
          }
        });
  }

  /** The element of a rotated head that one of the wider head is, or -1. */
  private int sourceElement(int element) {
    boolean interleaved = from.rope().interleaved();
    int pair = interleaved ? element / 2 : element % (to.headDim() / 2);
    int half = interleaved ? element % 2 : element / (to.headDim() / 2);
    if (pair % stretch != 0) {
      return -1;
    }
    int of = pair / stretch;
    return interleaved ? 2 * of + half : of + half * from.headDim() / 2;
  }

  private int sourceQueryHead(int head) {
    int group = to.heads() / to.kvHeads();
    int sourceGroup = from.heads() / from.kvHeads();
    return head / group % from.kvHeads() * sourceGroup + head % group % sourceGroup;
  }

  private TensorSource values(String name, TensorData data, int rows) {
    return matrix(
        name,
        rows,
        to.hidden(),
        (row, out) -> {
          int element = row % to.headDim();
          if (element < from.headDim()) {
            int head = row / to.headDim() % from.kvHeads();
            Dequantizer.row(data, head * from.headDim() + element, out, 0);
          }
        });
  }

  private TensorSource output(String name, TensorData data, int cols, boolean repeated) {
    int[] copies = new int[from.heads()];
    for (int head = 0; head < to.heads(); head++) {
      copies[sourceQueryHead(head)]++;
    }
    float[] narrow = new float[data.cols()];
    return matrix(
        name,
        to.hidden(),
        cols,
        (row, out) -> {
          if (repeated || row >= from.hidden()) {
            return;
          }
          Dequantizer.row(data, row, narrow, 0);
          for (int head = 0; head < to.heads(); head++) {
            int of = sourceQueryHead(head);
            for (int i = 0; i < from.headDim(); i++) {
              out[head * to.headDim() + i] = narrow[of * from.headDim() + i] / copies[of];
            }
          }
        });
  }
}
