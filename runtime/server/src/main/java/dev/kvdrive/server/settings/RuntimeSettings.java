package dev.kvdrive.server.settings;

import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.NvmeEncryption;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.RequestMemory;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.boot.context.properties.bind.Name;

/**
 * The configuration of a runtime, in practice the file {@code /etc/kvdrive/runtime.yaml}.
 *
 * @param model what is served and where its files are kept
 * @param servedModelName name in the API; the model's own if not set
 * @param contextLength tokens of a sequence, prompt and generation together
 * @param concurrency sequences at once
 * @param budget share of the context attended per step, in (0, 1]; 1 is exact mode; 0.0625 if
 *     neither it nor a quality is set
 * @param quality share of its attention that a step keeps, in (0, 1): in place of a budget, as
 *     little is attended as is enough for it
 * @param budgetBound share of the context attended per step at most, with a quality; 0.25 if not
 *     set
 * @param denseBelow tokens up to which a sequence attends everything, 0 for none; if not set, where
 *     that is faster on the device
 * @param policy what is attended and what stays in GPU memory; kvdrive if not set
 * @param index what chunks are chosen by: {@code two-bit}, {@code planes-128} and so on; if not
 *     set, bit planes with clusters where a calibration comes with the model, else two-bit
 * @param kvType element type of cached keys and values
 * @param resident format of chunks in the window; if not set, what goes with the rest
 * @param backing format of chunks in DRAM and on NVMe; if not set, what goes with the rest
 * @param meter share of the time of all steps that measuring may take what their attention leaves
 *     out; 0 for never, 0.01 if not set
 * @param windows how windows are divided and filled; no answer depends on it
 * @param tiers bytes of each tier
 * @param apiKeysFile file with the keys that may call the API; an open server if not set
 * @param device what computes; nothing else takes its place where it cannot be used
 * @param threads threads of the CPU device; 0 for the processors there are
 * @param queueLimit requests that may wait for a seat; if not set, 8 for each seat
 * @param keepPrompts whether what was made of a prompt stays after its answer, as long as nobody
 *     needs the room, for prompts of the same key that begin alike
 * @param warmUpTime how long the CPU device, whose code is compiled while it runs, is warmed up
 *     before the runtime is ready
 * @param drainTimeout how long running requests may go on after SIGTERM
 * @param bodyTimeout how long a client may take to send a body
 * @param streamBuffer events of one stream that a slow client may leave unread
 * @param http how connections are kept, and who is told of requests
 * @param tls what secures connections; null for connections in plain
 * @param terminationLog file that takes the reason when the runtime cannot start
 */
@ConfigurationProperties(prefix = "kvdrive", ignoreUnknownFields = false)
public record RuntimeSettings(
    @DefaultValue ModelFiles model,
    @Nullable String servedModelName,
    @DefaultValue("32768") int contextLength,
    @DefaultValue("1") int concurrency,
    @Nullable Double budget,
    @Nullable Double quality,
    @Nullable Double budgetBound,
    @Nullable Integer denseBelow,
    @Nullable String policy,
    @Nullable String index,
    @DefaultValue("BF16") KvType kvType,
    @Nullable ChunkFormat resident,
    @Nullable ChunkFormat backing,
    @Nullable Double meter,
    @DefaultValue Windows windows,
    @DefaultValue Tiers tiers,
    @Nullable Path apiKeysFile,
    @DefaultValue("CPU") DeviceKind device,
    @DefaultValue("0") int threads,
    @Nullable Integer queueLimit,
    @DefaultValue("true") boolean keepPrompts,
    @DefaultValue("4s") Duration warmUpTime,
    @DefaultValue("30s") Duration drainTimeout,
    @DefaultValue("60s") Duration bodyTimeout,
    @DefaultValue("1024") int streamBuffer,
    @DefaultValue Http http,
    @Nullable Tls tls,
    @DefaultValue("/dev/termination-log") Path terminationLog) {
  /** Nothing becomes faster after that. */
  private static final Duration MOST_WARM_UP = Duration.ofMinutes(1);

  /**
   * Where the model is from.
   *
   * @param uri {@code builtin:NAME}, {@code hf://OWNER/NAME@REVISION}, or a path
   * @param cacheDir folder for downloads
   * @param chatTemplate file with the chat template, in Jinja; if not set, the one that comes with
   *     the model
   * @param ropeScaling extends the context; null for what the model brings
   * @param planned the sizes that whoever made the room for this runtime has planned with; null if
   *     nobody has
   */
  public record ModelFiles(
      @DefaultValue("builtin:kvdrive-tiny-32k") String uri,
      @DefaultValue("/tmp/kvdrive-models") Path cacheDir,
      @Nullable Path chatTemplate,
      @Nullable Rope ropeScaling,
      @Nullable PlannedSizes planned) {
    /** The rope scaling to open the model with, or null. */
    public @Nullable RopeScaling scaling() {
      return ropeScaling == null ? null : ropeScaling.scaling();
    }
  }

  /**
   * How windows are divided and filled.
   *
   * @param division who has how many slots: {@code uniform}, {@code lent} or {@code by_reuse}
   * @param warmUp tokens at the end of a prompt whose selections fill its windows
   * @param prefetch whether chunks are brought for the next layer by a predicted query
   */
  public record Windows(
      @DefaultValue("LENT") WindowOptions.Division division,
      @DefaultValue("16") int warmUp,
      @DefaultValue("false") boolean prefetch) {
    public Windows {
      try {
        var _ = new WindowOptions(division, warmUp, prefetch);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException("kvdrive.windows.warm-up: " + e.getMessage(), e);
      }
    }

    WindowOptions options() {
      return new WindowOptions(division, warmUp, prefetch);
    }
  }

  /**
   * How a model is to serve a longer context than it was trained for.
   *
   * @param type {@code yarn} or {@code linear}
   * @param factor how many times the original context
   * @param originalContext tokens; what the model was trained for if not set
   */
  public record Rope(
      @Nullable String type, @Nullable Double factor, @Nullable Integer originalContext) {
    private static final RopeScaling.Names NAMES =
        new RopeScaling.Names(
            "kvdrive.model.rope-scaling.type",
            "kvdrive.model.rope-scaling.factor",
            "kvdrive.model.rope-scaling.original-context");

    public Rope {
      try {
        var _ = RopeScaling.of(NAMES, type, factor, originalContext);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException("kvdrive.model.rope-scaling: " + e.getMessage(), e);
      }
    }

    @Nullable RopeScaling scaling() {
      return RopeScaling.of(NAMES, type, factor, originalContext);
    }
  }

  /**
   * Bytes of each tier.
   *
   * @param gpu device memory
   * @param dram pinned host memory
   * @param nvme size of the NVMe volume; 0 for none
   * @param nvmeDir where the volume is mounted
   * @param nvmeWritesPerDay bytes that may be written to the volume in 24 hours; 0 for no limit
   * @param nvmeEncryption in which form extents are on the volume
   */
  public record Tiers(
      @Name("gpu-bytes") @DefaultValue("256Mi") TierBytes gpu,
      @Name("dram-bytes") @DefaultValue("256Mi") TierBytes dram,
      @Name("nvme-bytes") @DefaultValue("0") TierBytes nvme,
      @DefaultValue("/var/lib/kvdrive/nvme") Path nvmeDir,
      @DefaultValue("0") TierBytes nvmeWritesPerDay,
      @DefaultValue("none") NvmeEncryption nvmeEncryption) {
    public Tiers {
      if (nvme.bytes() == 0 && nvmeWritesPerDay.bytes() > 0) {
        throw new IllegalArgumentException(
            "kvdrive.tiers.nvme-writes-per-day limits what is written to NVMe, and there is no NVMe tier; set kvdrive.tiers.nvme-bytes, or leave it out");
      }
      if (nvme.bytes() == 0 && nvmeEncryption.encrypts()) {
        throw new IllegalArgumentException(
            "kvdrive.tiers.nvme-encryption is %s, and there is no NVMe tier, beside which nothing is encrypted; set kvdrive.tiers.nvme-bytes, or leave it out"
                .formatted(nvmeEncryption.word()));
      }
    }

    TierBudgets budgets() {
      return new TierBudgets(
          gpu.bytes(), dram.bytes(), nvme.bytes(), nvmeWritesPerDay.bytes(), nvmeEncryption);
    }
  }

  /**
   * Connections and requests as HTTP sees them.
   *
   * @param headTimeout how long a client may take to send the head of a request
   * @param idleTimeout how long a connection may be without a request
   * @param bodyRate bytes a second that a body has at least, after its first seconds
   * @param accessLog whether there is a line of log for each request
   * @param ui whether {@code /ui} shows what the engine does
   * @param corsOrigins origins whose pages may call the API; {@code *} for all, none if empty
   */
  public record Http(
      @DefaultValue("15s") Duration headTimeout,
      @DefaultValue("10m") Duration idleTimeout,
      @DefaultValue("1Ki") TierBytes bodyRate,
      @DefaultValue("false") boolean accessLog,
      @DefaultValue("false") boolean ui,
      @DefaultValue List<String> corsOrigins) {
    public Http {
      if (!headTimeout.isPositive()) {
        throw new IllegalArgumentException(
            "kvdrive.http.head-timeout must be positive, got " + headTimeout);
      }
      if (!idleTimeout.isPositive()) {
        throw new IllegalArgumentException(
            "kvdrive.http.idle-timeout must be positive, got " + idleTimeout);
      }
      for (String origin : corsOrigins) {
        if (!origin.equals("*") && !ORIGIN.matcher(origin).matches()) {
          throw new IllegalArgumentException(
              "kvdrive.http.cors-origins must be origins such as https://app.example.com, or *; got '%s'"
                  .formatted(origin));
        }
      }
      corsOrigins = List.copyOf(corsOrigins);
    }

    private static final Pattern ORIGIN =
        Pattern.compile("[a-z][a-z0-9+.-]*://[^/?#*\\s]+", Pattern.CASE_INSENSITIVE);
  }

  /**
   * How connections are secured.
   *
   * @param certificate file with the server's certificate and those that lead to its authority, in
   *     PEM
   * @param key file with its private key, in PEM
   * @param clientCa file with the authorities whose clients may connect; all may if not set
   * @param healthPort where health and metrics, and nothing else, are answered without TLS; nowhere
   *     if not set
   */
  public record Tls(
      @Nullable Path certificate,
      @Nullable Path key,
      @Nullable Path clientCa,
      @Nullable Integer healthPort) {
    public Tls {
      if (certificate == null || key == null) {
        throw new IllegalArgumentException(
            "kvdrive.tls.%s must be set, too: TLS needs kvdrive.tls.certificate and kvdrive.tls.key"
                .formatted(certificate == null ? "certificate" : "key"));
      }
      if (healthPort != null && (healthPort < 0 || healthPort > 65535)) {
        throw new IllegalArgumentException(
            "kvdrive.tls.health-port must be between 0 (a free one) and 65535, got " + healthPort);
      }
    }
  }

  public RuntimeSettings {
    if (contextLength < Load.MIN_CONTEXT) {
      throw new IllegalArgumentException(
          "kvdrive.context-length must be at least %d tokens, got %d"
              .formatted(Load.MIN_CONTEXT, contextLength));
    }
    if (concurrency < 1 || concurrency > Load.MAX_CONCURRENCY) {
      throw new IllegalArgumentException(
          "kvdrive.concurrency must be between 1 and %d, got %d"
              .formatted(Load.MAX_CONCURRENCY, concurrency));
    }
    share("kvdrive.budget", budget);
    share("kvdrive.budget-bound", budgetBound);
    if (quality != null && budget != null) {
      throw new IllegalArgumentException(
          "kvdrive.budget and kvdrive.quality exclude each other; with a quality set kvdrive.budget-bound");
    }
    if (quality == null && budgetBound != null) {
      throw new IllegalArgumentException(
          "kvdrive.budget-bound bounds what a quality takes; set kvdrive.quality, or kvdrive.budget alone");
    }
    if (quality != null && !(quality > 0 && quality < 1)) {
      throw new IllegalArgumentException(
          "kvdrive.quality must be a share of the attention above 0 and below 1, got "
              + quality
              + "; for all of it set kvdrive.budget to 1 in its place");
    }
    if (meter != null && !(meter >= 0 && meter <= 1)) {
      throw new IllegalArgumentException(
          "kvdrive.meter must be a share of the time from 0 to 1, got " + meter);
    }
    if (denseBelow != null && denseBelow < 0) {
      throw new IllegalArgumentException(
          "kvdrive.dense-below must not be negative, got " + denseBelow);
    }
    try {
      var _ = PolicyShape.named(policy == null ? PolicyShape.KVDRIVE.name() : policy);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("kvdrive.policy: " + e.getMessage(), e);
    }
    try {
      if (index != null) {
        var _ = IndexShape.parse(index);
      }
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("kvdrive.index: " + e.getMessage(), e);
    }
    try {
      Formats.of(kvType, attended(budget, quality, budgetBound).share(), device, resident, backing)
          .check(kvType);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("kvdrive.resident, kvdrive.backing: " + e.getMessage(), e);
    }
    if (threads < 0) {
      throw new IllegalArgumentException(
          "kvdrive.threads must be 0 (as many as processors) or more, got " + threads);
    }
    if (queueLimit != null && queueLimit < 0) {
      throw new IllegalArgumentException(
          "kvdrive.queue-limit must not be negative, got " + queueLimit);
    }
    if (warmUpTime.isNegative() || warmUpTime.compareTo(MOST_WARM_UP) > 0) {
      throw new IllegalArgumentException(
          "kvdrive.warm-up-time must be between 0s and %ds, got %s"
              .formatted(MOST_WARM_UP.toSeconds(), warmUpTime));
    }
    if (drainTimeout.isNegative()) {
      throw new IllegalArgumentException(
          "kvdrive.drain-timeout must not be negative, got " + drainTimeout);
    }
    if (!bodyTimeout.isPositive()) {
      throw new IllegalArgumentException(
          "kvdrive.body-timeout must be positive, got " + bodyTimeout);
    }
    if (streamBuffer < 1) {
      throw new IllegalArgumentException(
          "kvdrive.stream-buffer must be at least 1, got " + streamBuffer);
    }
    if (servedModelName != null && servedModelName.isBlank()) {
      throw new IllegalArgumentException("kvdrive.served-model-name must not be blank");
    }
  }

  /** Requests that may wait, in the end. */
  public int queue() {
    return queueLimit != null ? queueLimit : Load.DEFAULT_QUEUE_PER_SEAT * concurrency;
  }

  /** What HTTP requests may take; the same for the server and for its plan. */
  public RequestMemory requestMemory() {
    return RequestMemory.of(contextLength, concurrency, queue());
  }

  private Formats formats() {
    return Formats.of(kvType, attends().share(), device, resident, backing);
  }

  /** How much of the context a step attends. */
  public Budget attends() {
    return attended(budget, quality, budgetBound);
  }

  private static Budget attended(
      @Nullable Double budget, @Nullable Double quality, @Nullable Double bound) {
    return quality == null
        ? Budget.of(budget == null ? AttentionOptions.DEFAULT_BUDGET : budget)
        : new Budget(bound == null ? Budget.DEFAULT_BOUND : bound, quality);
  }

  private static void share(String setting, @Nullable Double share) {
    if (share != null && !(share > 0 && share <= 1)) {
      throw new IllegalArgumentException(
          "%s must be a share above 0 and at most 1, got %s".formatted(setting, share));
    }
  }

  /**
   * What to ask the planner about a model.
   *
   * @param kind of the device that will be opened
   */
  public PlanRequest planRequest(ModelGeometry geometry, DeviceKind kind) {
    return new PlanRequest(
        geometry,
        new Load(contextLength, concurrency, queue()),
        new AttentionOptions(
            PolicyShape.of(policy, index == null ? null : IndexShape.parse(index), geometry),
            attends(),
            kvType,
            formats(),
            denseBelow,
            windows.options()),
        tiers.budgets(),
        kind);
  }
}
