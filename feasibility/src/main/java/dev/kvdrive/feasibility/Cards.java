package dev.kvdrive.feasibility;

import dev.kvdrive.plan.ByteSize;
import dev.kvdrive.plan.Demand;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.TierBudgets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The cards that a deployment's pods may get, as far as somebody has said what they have: the class
 * in {@code gpu.memory}, else the labels of the nodes that class and deployment select. No tier is
 * larger than the largest; that smaller ones are among them is a warning.
 *
 * <p>A label says what the driver's management library reports, which is some hundred MiB more than
 * what CUDA gives a program; only the driver knows how many, so the runtime compares again when it
 * starts.
 *
 * @param most bytes of the largest
 * @param words who says so
 * @param smaller nodes whose cards have less than the tier
 * @param nodes nodes that were looked at; 0 where the class has said it
 */
record Cards(long most, String words, int smaller, int nodes) {
  private static final Pattern MEBIBYTES = Pattern.compile("[1-9][0-9]{0,9}");

  /** What the driver may keep of a card: of one with 96 GiB it was 638 MiB. */
  private static final long MOST_KEPT = ByteSize.GIB;

  private static final int SHARE_KEPT = 20;
  private static final long STEP = 256 * ByteSize.MIB;

  private record Labelled(long bytes, String product) {}

  /** What is known for {@code request}; nothing without a GPU, or if nobody says anything. */
  static Optional<Cards> of(Request request, Collection<GpuNode> nodes) {
    GpuRequest gpu = request.pod().gpu();
    if (request.device() != DeviceKind.CUDA || gpu == null) {
      return Optional.empty();
    }
    if (gpu.memory() != null) {
      return Optional.of(
          new Cards(
              gpu.memory(),
              "InferenceClass %s says that %s has %s (gpu.memory)"
                  .formatted(request.className(), gpu.words(), exact(gpu.memory())),
              0,
              0));
    }
    if (gpu.claimTemplate() != null) {
      return Optional.empty();
    }
    String label = gpu.memoryLabel();
    List<Labelled> found =
        nodes.stream()
            .filter(node -> isSelected(node, request))
            .flatMap(node -> card(node, label).stream())
            .toList();
    return found.stream()
        .max(Comparator.comparingLong(Labelled::bytes))
        .map(
            largest ->
                new Cards(
                    largest.bytes(),
                    "by their label %s the largest %s of the %s that InferenceClass %s selects, %s, has %s"
                        .formatted(
                            label,
                            gpu.words(),
                            found.size() == 1 ? "1 node" : found.size() + " nodes",
                            request.className(),
                            largest.product(),
                            exact(largest.bytes())),
                    (int) found.stream().filter(c -> c.bytes() < request.tiers().gpu()).count(),
                    found.size()));
  }

  private static boolean isSelected(GpuNode node, Request request) {
    return request.pod().nodeSelector().entrySet().stream()
            .allMatch(label -> label.getValue().equals(node.labels().get(label.getKey())))
        && request.pod().nodeAffinity().stream().allMatch(r -> r.matches(node.labels()));
  }

  private static Optional<Labelled> card(GpuNode node, String label) {
    String text = node.labels().getOrDefault(label, "");
    return MEBIBYTES.matcher(text).matches()
        ? Optional.of(
            new Labelled(
                Long.parseLong(text) * ByteSize.MIB,
                Objects.requireNonNullElse(
                    node.labels().get(GpuNode.PRODUCT), "of no known product")))
        : Optional.empty();
  }

  boolean hold(long tier) {
    return tier <= most;
  }

  /** Why a tier does not fit, with what does. */
  String refusal(Plan plan) {
    long tier = plan.request().tiers().gpu();
    StringBuilder text =
        new StringBuilder(
            "tiers.gpu.memory is %s, but %s: %s too little."
                .formatted(exact(tier), words, ByteSize.human(tier - most)));
    long offered = offered();
    Plan within = Planner.plan(plan.request().withTiers(withGpu(plan.request().tiers(), offered)));
    if (within.feasible()) {
      text.append(
          " With tiers.gpu.memory: %s it fits: %s."
              .formatted(Quantities.ofBytes(offered), arithmetic(within)));
    } else {
      text.append(" A whole card is too little, too: ").append(within(within).verdict());
    }
    if (nodes > 0) {
      text.append(
          " If larger cards can be added, the InferenceClass can say how large in gpu.memory.");
    }
    return text.toString();
  }

  /** What is proposed as a tier: of a labelled card not what the driver may keep to itself. */
  private long offered() {
    if (nodes == 0) {
      return most / ByteSize.MIB * ByteSize.MIB;
    }
    return (most - Math.min(MOST_KEPT, most / SHARE_KEPT)) / STEP * STEP;
  }

  private static TierBudgets withGpu(TierBudgets tiers, long gpu) {
    return tiers.withGpu(gpu);
  }

  private static String arithmetic(Plan plan) {
    return plan.demands().stream()
        .filter(demand -> demand.tier() == Demand.Tier.GPU)
        .map(demand -> demand.item() + " " + ByteSize.human(demand.bytes()))
        .collect(Collectors.joining(", "));
  }

  /** The plan without alternatives that no card holds, and with a word on smaller cards. */
  Plan within(Plan plan) {
    List<String> shortfalls = new ArrayList<>(plan.shortfalls());
    List<String> warnings = new ArrayList<>(plan.warnings());
    var possible =
        plan.alternatives().stream().filter(a -> hold(a.request().tiers().gpu())).toList();
    if (possible.size() < plan.alternatives().size()) {
      shortfalls.add(Character.toUpperCase(words.charAt(0)) + words.substring(1) + ".");
    }
    if (smaller > 0 && plan.feasible()) {
      warnings.add(
          "on %d of %d nodes that the pods may go to a card has less than the GPU tier, and the pods would end there; matchMemory: true in the class's gpu keeps them away"
              .formatted(smaller, nodes));
    }
    return new Plan(
        plan.request(), plan.sizes(), plan.pod(), plan.demands(), shortfalls, possible, warnings);
  }

  /** A card's memory is never a round number; both forms of it are looked for. */
  private static String exact(long bytes) {
    return bytes % ByteSize.GIB == 0 || bytes % ByteSize.MIB != 0
        ? ByteSize.human(bytes)
        : "%s (%,d MiB)".formatted(ByteSize.human(bytes), bytes / ByteSize.MIB);
  }
}
