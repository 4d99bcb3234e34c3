package dev.kvdrive.model;

import dev.kvdrive.model.file.MappedFile;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.gguf.GgufHeader;
import dev.kvdrive.model.gguf.GgufReader;
import dev.kvdrive.model.safetensors.SafetensorsReader;
import dev.kvdrive.model.tensor.Dequantizer;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.RopeScaling;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Opens models from GGUF files and Hugging Face folders. Weights are mapped, not copied; opening
 * reads headers and, unless told otherwise, a sample of the weights to find damaged ones.
 *
 * <p>Families: Llama 2 and 3, Mistral, Mistral 3 and Ministral 3 (their text part), Qwen2 and 2.5,
 * Qwen3, Phi-3 and Phi-4-mini, Granite, OLMo 2, SmolLM3. A sliding window shorter than the trained
 * context caps {@link TransformerSpec#maxContext}, because up to its length full attention is what
 * the model computes.
 */
public final class ModelLoader {
  private ModelLoader() {}

  /** How much of the weights is looked at while opening. */
  public enum Verification {
    /** Nothing; for tools that only want the header. */
    NONE,
    /** At most 512 KiB of each tensor, spread over it. */
    SAMPLE,
    /** Every scale and unquantized value; reads the whole file once. */
    FULL
  }

  /**
   * Opens a model for its whole trained context, checking a sample of the weights.
   *
   * @param source GGUF file, any of them if the model is split, or folder with config.json and
   *     safetensors files
   * @throws ModelFormatException if it cannot be used
   */
  public static Model open(Path source) {
    return open(source, 0, Verification.SAMPLE);
  }

  /** Opens a model with the context that its file gives it. */
  public static Model open(Path source, int contextLength, Verification verification) {
    return open(source, contextLength, null, verification);
  }

  /**
   * Opens a model.
   *
   * @param source GGUF file, or folder with config.json and safetensors files
   * @param contextLength tokens that will be served at most, which decides between the short and
   *     the long rope of Phi models; 0 for all that the model can serve
   * @param ropeScaling extends the context; null leaves it as it is
   * @param verification how much of the weights to check for values that are not numbers
   * @throws ModelFormatException if it cannot be used
   */
  @SuppressWarnings("MustBeClosed") // the model owns the arena and closes it
  public static Model open(
      Path source,
      int contextLength,
      @Nullable RopeScaling ropeScaling,
      Verification verification) {
    Arena arena = Arena.ofShared();
    try {
      OpenModel model =
          isFolder(source)
              ? openFolder(source, contextLength, ropeScaling, arena)
              : openGguf(source, contextLength, ropeScaling, arena);
      WeightCheck.run(source, model, verification);
      return model;
    } catch (Throwable t) {
      arena.close();
      throw t;
    }
  }

  /**
   * The sizes of a model from headers alone: of a GGUF file, of a folder with weights, of a folder
   * that has only config.json, or of a config.json by itself. Whether there is a calibration is
   * looked up beside it.
   *
   * @throws ModelFormatException if it cannot be used
   */
  public static ModelGeometry geometry(Path source) {
    return sizes(source).calibrated(IndexSidecar.isWhole(source));
  }

  private static ModelGeometry sizes(Path source) {
    if (isFolder(source)) {
      Path weights = source.resolve("model.safetensors");
      Path index = source.resolve("model.safetensors.index.json");
      if (Files.exists(weights) || Files.exists(index)) {
        try (Model model = open(source, 0, Verification.NONE)) {
          return model.geometry();
        }
      }
      return configGeometry(source.resolve("config.json"), nameOf(source));
    }
    Path name = source.getFileName();
    if (name != null && name.toString().endsWith(".json")) {
      return configGeometry(source, nameOf(source.resolveSibling("")));
    }
    GgufHeader named = GgufReader.read(source);
    return geometry(
        GgufHeader.joined(parts(source, named).stream().map(GgufReader::read).toList()));
  }

  /** The files of the model that a GGUF file is, or is a part of. */
  private static List<Path> parts(Path file, GgufHeader header) {
    if (header.parts() == 1) {
      return List.of(file);
    }
    List<Path> parts = new ArrayList<>();
    for (String name : header.partNames(String.valueOf(file.getFileName()))) {
      Path part = file.resolveSibling(name);
      if (!Files.exists(part)) {
        throw new ModelFormatException(
            part,
            "a part of the model is missing: it is split over %d files".formatted(header.parts()),
            "no such file",
            "put all parts into one folder, or download the missing one");
      }
      parts.add(part);
    }
    return parts;
  }

  /** The sizes of the model that a GGUF header, of a split model the joined one, describes. */
  public static ModelGeometry geometry(GgufHeader header) {
    Hyperparameters p = GgufArchitecture.read(header, null);
    return p.geometry(
        WeightCount.of(
            header.tensors().values().stream()
                .filter(e -> !TensorNames.GGUF_ROPE.contains(e.name()))));
  }

  /**
   * The sizes of the model that a config.json describes, weights in the type that it names.
   *
   * @param file for messages
   * @param name name of the model
   * @param json content of config.json
   */
  public static ModelGeometry geometry(Path file, String name, byte[] json) {
    HuggingFaceConfig.Facts facts = HuggingFaceConfig.read(file, name, json);
    return facts.parameters().geometry(facts.weights());
  }

  private static ModelGeometry configGeometry(Path config, String name) {
    return geometry(config, name, MappedFile.readSmall(config, HuggingFaceConfig.MAX_BYTES));
  }

  private static OpenModel openGguf(
      Path file, int contextLength, @Nullable RopeScaling ropeScaling, Arena arena) {
    List<Path> parts = parts(file, GgufReader.read(file));
    List<MemorySegment> mapped = new ArrayList<>();
    List<GgufHeader> headers = new ArrayList<>();
    for (Path part : parts) {
      MemorySegment bytes = MappedFile.map(part, arena);
      mapped.add(bytes);
      headers.add(GgufReader.read(part, bytes, bytes.byteSize()));
    }
    GgufHeader header = GgufHeader.joined(headers);
    WeightTable table = new WeightTable(file, arena);
    for (int i = 0; i < parts.size(); i++) {
      table.add(parts.get(i), mapped.get(i), headers.get(i).tensors());
    }
    Hyperparameters p =
        GgufArchitecture.read(
            header,
            e ->
                Dequantizer.doubles(table.ropeFactors(e.name(), (int) (long) e.shape().getLast())));
    TensorNames.GGUF_ROPE.forEach(table::ignore);
    boolean tied = !table.has("output.weight");
    return assemble(
        file,
        p.extended(ropeScaling),
        table,
        TensorNames.GGUF,
        tied,
        contextLength,
        new TokenizerSource.Gguf(header.metadata().asMap()),
        arena);
  }

  private static OpenModel openFolder(
      Path folder, int contextLength, @Nullable RopeScaling ropeScaling, Arena arena) {
    Path config = folder.resolve("config.json");
    if (!Files.exists(config) && !Files.isSymbolicLink(config)) {
      throw new ModelFormatException(
          folder,
          "the folder holds no model",
          "no config.json",
          "name a GGUF file, or a folder with config.json and safetensors files");
    }
    HuggingFaceConfig.Facts facts =
        HuggingFaceConfig.read(
            config, nameOf(folder), MappedFile.readSmall(config, HuggingFaceConfig.MAX_BYTES));
    WeightTable table = new WeightTable(folder, arena);
    for (Path file : SafetensorsReader.files(folder)) {
      MemorySegment bytes = MappedFile.map(file, arena);
      table.add(file, bytes, SafetensorsReader.read(file, bytes));
    }
    TensorNames names = TensorNames.HUGGING_FACE;
    if (facts.nested()) {
      TensorNames.HUGGING_FACE_VISION.forEach(table::ignoreAll);
      names =
          TensorNames.HUGGING_FACE_NESTED.stream()
              .filter(n -> table.has(n.embedding()))
              .findFirst()
              .orElse(names);
    }
    if (facts.tied()) {
      table.ignore(names.output());
    }
    for (int i = 0; i < facts.parameters().layers(); i++) {
      table.ignore("model.layers." + i + ".self_attn.rotary_emb.inv_freq");
    }
    return assemble(
        folder,
        facts.parameters().extended(ropeScaling),
        table,
        names,
        facts.tied(),
        contextLength,
        new TokenizerSource.Folder(folder),
        arena);
  }

  private static OpenModel assemble(
      Path source,
      Hyperparameters p,
      WeightTable table,
      TensorNames names,
      boolean tied,
      int contextLength,
      TokenizerSource tokenizer,
      Arena arena) {
    int served = contextLength > 0 ? contextLength : p.maxContext();
    TensorData embedding = table.matrix(names.embedding(), p.vocabulary(), p.hidden());
    TensorData outputNorm = table.vector(names.outputNorm(), p.hidden());
    TensorData output = tied ? embedding : table.matrix(names.output(), p.vocabulary(), p.hidden());
    List<LayerTensors> layers = new ArrayList<>(p.layers());
    for (int i = 0; i < p.layers(); i++) {
      layers.add(layer(p, table, names, i));
    }
    table.requireAllUsed();
    return new OpenModel(
        p.spec(served),
        embedding,
        outputNorm,
        output,
        List.copyOf(layers),
        p.geometry(table.handedOut()).calibrated(IndexSidecar.isThere(source)),
        tokenizer,
        arena);
  }

  private static LayerTensors layer(
      Hyperparameters p, WeightTable table, TensorNames names, int index) {
    TensorNames.Layer n = names.layer(index);
    int hidden = p.hidden();
    int queries = p.heads() * p.headDim();
    int keys = p.kvHeads() * p.headDim();
    TensorData query;
    TensorData key;
    TensorData value;
    TensorData gate;
    TensorData up;
    Hyperparameters.Blocks blocks = p.blocks();
    if (blocks.fused()) {
      TensorData qkv = table.matrix(n.fusedAttention(), queries + 2 * keys, hidden);
      query = qkv.rows(0, queries);
      key = qkv.rows(queries, queries + keys);
      value = qkv.rows(queries + keys, queries + 2 * keys);
      TensorData gateUp = table.matrix(n.fusedMlp(), 2 * p.feedForward(), hidden);
      gate = gateUp.rows(0, p.feedForward());
      up = gateUp.rows(p.feedForward(), 2 * p.feedForward());
    } else {
      query = table.matrix(n.query() + ".weight", queries, hidden);
      key = table.matrix(n.key() + ".weight", keys, hidden);
      value = table.matrix(n.value() + ".weight", keys, hidden);
      gate = table.matrix(n.gate(), p.feedForward(), hidden);
      up = table.matrix(n.up(), p.feedForward(), hidden);
    }
    boolean post = blocks.postNorm();
    return new LayerTensors(
        post ? null : table.vector(n.attentionNorm(), hidden),
        query,
        key,
        value,
        table.matrix(n.attentionOutput() + ".weight", hidden, queries),
        bias(blocks.biased(), table, n.query(), queries),
        bias(blocks.biased(), table, n.key(), keys),
        bias(blocks.biased(), table, n.value(), keys),
        // A bias ahead of a norm would be another computation: it stays unread and is refused.
        post ? null : bias(blocks.outputBiased(), table, n.attentionOutput(), hidden),
        headNorm(blocks, table, n.queryNorm(), p.headDim(), queries),
        headNorm(blocks, table, n.keyNorm(), p.headDim(), keys),
        post ? table.vector(n.attentionPostNorm(), hidden) : null,
        post ? null : table.vector(n.mlpNorm(), hidden),
        gate,
        up,
        table.matrix(n.down(), hidden, p.feedForward()),
        post ? table.vector(n.mlpPostNorm(), hidden) : null);
  }

  private static @Nullable TensorData bias(
      boolean required, WeightTable table, String projection, int length) {
    String name = projection + ".bias";
    return required ? table.vector(name, length) : table.vectorIfAny(name, length);
  }

  private static @Nullable TensorData headNorm(
      Hyperparameters.Blocks blocks, WeightTable table, String name, int headDim, int width) {
    return switch (blocks.headNorm()) {
      case NONE -> null;
      case EACH -> table.vector(name, headDim);
      case ALL -> table.vector(name, width);
    };
  }

  private static boolean isFolder(Path source) {
    try {
      return Files.isDirectory(source.toRealPath());
    } catch (IOException e) {
      MappedFile.requireRegular(source);
      throw MappedFile.unreadable(source, e);
    }
  }

  private static String nameOf(Path folder) {
    Path name = folder.toAbsolutePath().normalize().getFileName();
    return name == null ? folder.toString() : name.toString();
  }
}
