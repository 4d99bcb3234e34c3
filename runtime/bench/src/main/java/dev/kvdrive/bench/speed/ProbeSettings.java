package dev.kvdrive.bench.speed;

import dev.kvdrive.bench.engine.ComfortableTiers;
import dev.kvdrive.bench.engine.LocalModel;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.databind.DeserializationContext;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.SerializationContext;
import tools.jackson.databind.ValueDeserializer;
import tools.jackson.databind.ValueSerializer;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.module.SimpleModule;

/**
 * What a probe of this project's engine measures, as it is told to the process that does.
 *
 * @param model the model; its chat template is not used
 * @param work what it answers
 * @param attention what is attended of the context
 * @param processor that computes
 * @param tiers how the KV cache is spread
 * @param parts what is switched on
 * @param stages whether the time of each verb is measured
 */
public record ProbeSettings(
    LocalModel model,
    Work work,
    Attention attention,
    Processor processor,
    Tiers tiers,
    Parts parts,
    boolean stages) {
  /** Type of keys and values. */
  public static final KvType KV = KvType.BF16;

  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
          .addModule(
              new SimpleModule()
                  .addSerializer(IndexShape.class, new IndexWriter())
                  .addDeserializer(IndexShape.class, new IndexReader()))
          .build();

  /**
   * What it answers.
   *
   * @param promptTokens of each run
   * @param tokens to write in each run and sequence, the first included
   * @param sequences that decode together
   * @param seats of the engine, at least as many
   */
  public record Work(int promptTokens, int tokens, int sequences, int seats) {
    /** With a seat for each sequence. */
    public Work(int promptTokens, int tokens, int sequences) {
      this(promptTokens, tokens, sequences, sequences);
    }

    /** The same in an engine with more seats. */
    public Work withSeats(int more) {
      return new Work(promptTokens, tokens, sequences, more);
    }
  }

  /**
   * What is attended of the context.
   *
   * @param budget how much
   * @param policy name of the policy
   * @param index by which it chooses; null for the one that the model gets
   * @param denseBelow tokens up to which a sequence attends everything
   * @param formats of chunks in the window and below it
   */
  public record Attention(
      Budget budget, String policy, @Nullable IndexShape index, int denseBelow, Formats formats) {
    /** By the policy's own index, however short the context is. */
    public Attention(Budget budget, String policy, Formats formats) {
      this(budget, policy, null, 0, formats);
    }

    /** The same with everything attended. */
    public Attention exact() {
      return new Attention(Budget.of(1), policy, index, denseBelow, Formats.of(KV));
    }

    /** The same with other formats. */
    public Attention with(Formats others) {
      return new Attention(budget, policy, index, denseBelow, others);
    }

    /** The same by another policy. */
    public Attention by(String other, @Nullable IndexShape itsIndex) {
      return new Attention(budget, other, itsIndex, denseBelow, formats);
    }

    /** The same with so many tokens up to which everything is attended. */
    public Attention denseBelow(int below) {
      return new Attention(budget, policy, index, below, formats);
    }

    private AttentionOptions options(ModelGeometry geometry, WindowOptions windows) {
      return new AttentionOptions(
          PolicyShape.of(policy, index, geometry), budget, KV, formats, denseBelow, windows);
    }
  }

  /**
   * What computes.
   *
   * @param threads of a CPU device; 0 for the processors there are
   */
  public record Processor(DeviceKind device, int threads) {}

  /**
   * How the KV cache is spread.
   *
   * @param windows size of the window in selections
   * @param dramShare share of the KV cache that has room in DRAM; below 1, NVMe has room for all
   * @param nvme folder of the NVMe tier, used if the share is below 1
   * @param caps bytes of the tiers; null for the fewest that have such windows and such a share
   * @param encryption in which form extents are on NVMe, whatever caps say
   */
  public record Tiers(
      double windows,
      double dramShare,
      Path nvme,
      @Nullable TierBudgets caps,
      NvmeEncryption encryption) {
    /** With as many bytes as are needed. */
    public Tiers(double windows, double dramShare, Path nvme) {
      this(windows, dramShare, nvme, null, NvmeEncryption.NONE);
    }

    /** The same on another folder. */
    public Tiers on(Path folder) {
      return new Tiers(windows, dramShare, folder, caps, encryption);
    }

    /** The same within so many bytes. */
    public Tiers within(TierBudgets bytes) {
      return new Tiers(windows, dramShare, nvme, bytes, encryption);
    }

    /** The same with another share of the KV cache in DRAM. */
    public Tiers withDramShare(double share) {
      return new Tiers(windows, share, nvme, null, encryption);
    }

    /** The same with extents in another form on NVMe. */
    public Tiers with(NvmeEncryption form) {
      return new Tiers(windows, dramShare, nvme, caps, form);
    }
  }

  /**
   * Parts that change no token, each with its switch.
   *
   * @param windows how windows are divided and filled
   * @param pipeline whether misses are fetched beside the computation
   * @param microBatches of the pipeline, as {@code DecodeOptions} has them
   */
  public record Parts(WindowOptions windows, boolean pipeline, int microBatches) {
    /** The same with windows divided and filled in another way. */
    public Parts with(WindowOptions others) {
      return new Parts(others, pipeline, microBatches);
    }
  }

  /** The same for other work. */
  public ProbeSettings of(Work other) {
    return new ProbeSettings(model, other, attention, processor, tiers, parts, stages);
  }

  /** The same with another attention. */
  public ProbeSettings with(Attention other) {
    return new ProbeSettings(model, work, other, processor, tiers, parts, stages);
  }

  /** The same with other tiers. */
  public ProbeSettings with(Tiers others) {
    return new ProbeSettings(model, work, attention, processor, others, parts, stages);
  }

  /** The same with other parts. */
  public ProbeSettings with(Parts others) {
    return new ProbeSettings(model, work, attention, processor, tiers, others, stages);
  }

  /** What is planned for the model, its geometry given, with the bytes that its tiers have. */
  public PlanRequest request(ModelGeometry geometry) {
    PlanRequest request =
        new PlanRequest(
            geometry,
            new Load(
                Math.max(Load.MIN_CONTEXT, work.promptTokens() + work.tokens()), work.seats(), 1),
            attention.options(geometry, parts.windows()),
            new TierBudgets(0, 0, 0),
            processor.device());
    TierBudgets caps = tiers.caps();
    TierBudgets bytes = caps != null ? caps : comfortable().of(request);
    return request.withTiers(
        bytes.nvme() == 0 ? bytes : bytes.withNvmeEncryption(tiers.encryption()));
  }

  /**
   * What its tiers need: in exact mode a window of everything, and of a policy whose windows are
   * smaller as much as it has a use for.
   */
  public ComfortableTiers comfortable() {
    return new ComfortableTiers(
        attention.budget().exact() ? 1 : tiers.windows(), tiers.dramShare());
  }

  /** As an argument that {@link #parse} reads. */
  public String argument() {
    return JSON.writeValueAsString(this);
  }

  /**
   * Reads {@link #argument}.
   *
   * @throws JacksonException if something is missing or is not what it should be
   */
  public static ProbeSettings parse(String argument) {
    return JSON.readValue(argument, ProbeSettings.class);
  }

  private static final class IndexWriter extends ValueSerializer<IndexShape> {
    @Override
    public void serialize(IndexShape index, JsonGenerator to, SerializationContext context) {
      to.writeString(index.word());
    }
  }

  private static final class IndexReader extends ValueDeserializer<IndexShape> {
    @Override
    public IndexShape deserialize(JsonParser from, DeserializationContext context) {
      return IndexShape.parse(from.getString());
    }
  }
}
