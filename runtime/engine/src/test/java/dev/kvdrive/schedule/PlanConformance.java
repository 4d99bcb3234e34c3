package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceBuffer;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.Event;
import dev.kvdrive.device.HostBuffer;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.Weight;
import dev.kvdrive.kv.tier.NvmeOptions;
import dev.kvdrive.model.Golden;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.tensor.TensorData;
import dev.kvdrive.plan.AttentionOptions;
import dev.kvdrive.plan.Budget;
import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.ChunkGrid;
import dev.kvdrive.plan.Demand;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.EngineSizes;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.IndexShape;
import dev.kvdrive.plan.KvType;
import dev.kvdrive.plan.Load;
import dev.kvdrive.plan.Plan;
import dev.kvdrive.plan.PlanRequest;
import dev.kvdrive.plan.Planner;
import dev.kvdrive.plan.PolicyShape;
import dev.kvdrive.plan.TierBudgets;
import dev.kvdrive.plan.WindowOptions;
import dev.kvdrive.plan.WindowOptions.Division;
import dev.kvdrive.plan.Workspace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Invariants 4 and 6: what the engine allocates is what the plan says, and never more. */
public abstract class PlanConformance extends EngineTest {
  private static final long MIB = 1L << 20;

  @ParameterizedTest
  @CsvSource({
    // model, context, concurrency, budget, KV type, resident, backing, index, dense below, GPU,
    // DRAM, NVMe in MiB
    "llama3, 256, 1, 1, F32, F32, F32, two-bit, 0, 8, 8, 64",
    "llama3, 256, 8, 0.0625, BF16, BF16, BF16, two-bit, 160, 24, 16, 64",
    "llama3, 256, 8, 0.0625, BF16, BF16, INT8, two-bit+clusters-64, 0, 24, 16, 64",
    "qwen3, 256, 4, 0.25, F32, F32, F32, two-bit+clusters-64, 0, 24, 24, 64",
    "qwen3, 256, 4, 0.25, F32, INT8, INT8, two-bit, 200, 24, 24, 64",
    "qwen2, 256, 16, 1, BF16, BF16, BF16, two-bit, 0, 40, 24, 64",
    "llama, 256, 2, 0.5, BF16, BF16, BF16, two-bit, 0, 40, 64, 0",
    "qwen3, 128, 3, 0.0625, F32, F32, F32, two-bit+clusters-16x4, 0, 8, 8, 64",
    "llama3-q8_0.gguf, 256, 4, 1, BF16, BF16, BF16, two-bit, 0, 12, 12, 64",
  })
  void theEngineAllocatesWhatThePlanSays(
      String name,
      int context,
      int concurrency,
      double budget,
      KvType type,
      ChunkFormat resident,
      ChunkFormat backing,
      String index,
      int dense,
      long gpu,
      long dram,
      long nvme)
      throws IOException {
    boolean noting = context == 256;
    WindowOptions windows =
        new WindowOptions(noting ? Division.BY_REUSE : Division.UNIFORM, 16, noting);
    try (Model planned = ModelLoader.open(Golden.file(name), 0, ModelLoader.Verification.FULL)) {
      // What the device takes for itself comes on top, to the byte.
      int chunks = ChunkGrid.PAPER.closedChunks(context);
      long taken = Workspace.deviceBytes(kind(), planned.geometry(), chunks);
      long gpuTier = gpu * MIB + taken;
      Plan plan =
          Planner.plan(
              new PlanRequest(
                  planned.geometry(),
                  new Load(context, concurrency, 4),
                  new AttentionOptions(
                      PolicyShape.KVDRIVE.withIndex(IndexShape.parse(index)),
                      Budget.of(budget),
                      type,
                      new Formats(resident, backing),
                      dense,
                      windows),
                  new TierBudgets(gpuTier, dram * MIB, nvme * MIB),
                  kind()));
      EngineSizes sizes = plan.requireSizes();
      // What is planned of DRAM is enough, to the byte.
      try (Device own = open(gpu * MIB, plan.demand(Demand.Tier.DRAM), 2)) {
        EngineSettings settings =
            EngineSettings.of(sizes, own, directory)
                .withScheduling(s -> s.withWarmUpTokens(Math.min(100, context - 8)));
        try (KvDriveEngine engine = KvDriveEngine.start(planned, tokenizer, own, settings)) {
          // A window takes what is left to a few bytes: the plan must be right to the byte.
          assertThat(own.usedBytes())
              .as("GPU memory")
              .isEqualTo(plan.allocatedOnDevice())
              .isEqualTo(plan.demand(Demand.Tier.GPU) - taken)
              .isLessThanOrEqualTo(gpu * MIB);
          // Buffers that happen to be whole pages leave what is planned for their rounding.
          assertThat(own.hostBytes())
              .as("DRAM")
              .isBetween(
                  plan.demand(Demand.Tier.DRAM) - Workspace.hostRoundingBytes(),
                  Math.min(plan.demand(Demand.Tier.DRAM), dram * MIB));
          assertThat(bytesOnNvme())
              .as("NVMe")
              .isBetween(plan.demand(Demand.Tier.NVME), nvme * MIB)
              .matches(bytes -> (bytes == 0) == (sizes.nvmeExtents() == 0));
          for (EngineStatus.Tier tier : engine.status().tiers()) {
            assertThat(tier.usedBytes()).as(tier.name()).isLessThanOrEqualTo(tier.capacityBytes());
          }
          generate(engine, request("a", Math.min(200, context - 9), 8)).finish();
          assertThat(own.ownBytes()).as("what the device takes").isLessThanOrEqualTo(taken);
          assertThat(own.usedBytes()).isLessThanOrEqualTo(gpu * MIB);
          assertThat(own.hostBytes()).isLessThanOrEqualTo(dram * MIB);
        }
        assertThat(own.usedBytes()).isZero();
        assertThat(own.hostBytes()).isZero();
      }
    }
  }

  private long bytesOnNvme() throws IOException {
    long bytes = 0;
    for (Path file : nvmeFiles()) {
      bytes += Files.size(file);
    }
    return bytes;
  }

  @Test
  void whatFitsDramIsNeverWrittenToNvmeHoweverMuchOfItIsGiven() throws IOException {
    PlanRequest request =
        PlanRequest.of(
            model.geometry(),
            new Load(256, 2, 4),
            1,
            KvType.F32,
            new TierBudgets(
                40 * MIB
                    + Workspace.deviceBytes(
                        kind(), model.geometry(), ChunkGrid.PAPER.closedChunks(256)),
                64 * MIB,
                64 * MIB),
            kind());
    EngineSettings settings =
        EngineSettings.of(Planner.plan(request).requireSizes(), device, directory)
            .withNvme(nvme -> NvmeOptions.in(directory.resolve("untouched")));
    try (KvDriveEngine engine = start(settings)) {
      generate(engine, request("a", 200, 8)).finish();
      assertThat(directory.resolve("untouched")).doesNotExist();
      assertThat(Thread.getAllStackTraces().keySet())
          .noneMatch(thread -> thread.getName().startsWith("kvdrive-nvme"));
      assertThat(engine.status().tiers().getLast())
          .isEqualTo(new EngineStatus.Tier("nvme", 0, 0, 0, 0));
    }
  }

  private DeviceKind kind() {
    return device.activationType() == ElementType.F32 ? DeviceKind.CPU : DeviceKind.CUDA;
  }

  @Test
  void anEngineThatCannotGetAllItsMemoryKeepsNone() throws IOException {
    EngineShape shape = EngineShape.tight(1).with(1, true);
    int allocations = 0;
    boolean started = false;
    while (!started) {
      FailingDevice failing = new FailingDevice(device, allocations);
      EngineSettings settings = settings(shape);
      try {
        KvDriveEngine.start(model, tokenizer, failing, settings).close();
        started = true;
      } catch (DeviceException e) {
        assertThat(e).hasMessage("allocation " + allocations + " fails");
        assertNothingIsLeft();
        allocations++;
      }
    }
    assertThat(allocations).as("allocations of an engine").isGreaterThan(50);
  }

  @Test
  void aDeviceThatIsTooSmallIsNamed() {
    Device small = open(200_000, 1);
    EngineSettings settings = settings(EngineShape.roomy(1));
    assertThatThrownBy(() -> KvDriveEngine.start(model, tokenizer, small, settings))
        .isInstanceOf(DeviceException.class)
        .message()
        .matches(message -> message.replace(",", "").contains("200000"));
    assertThat(small.usedBytes()).isZero();
    assertThat(small.hostBytes()).isZero();
    small.close();
  }

  /** A device of which one allocation fails. */
  private static final class FailingDevice implements Device {
    private final Device device;
    private int left;
    private final int failing;

    FailingDevice(Device device, int failing) {
      this.device = device;
      this.failing = failing;
      left = failing;
    }

    private synchronized <T> T allocating(Supplier<T> allocation) {
      if (left-- == 0) {
        throw new DeviceException("allocation " + failing + " fails");
      }
      return allocation.get();
    }

    @Override
    public DeviceBuffer allocate(String label, long bytes) {
      return allocating(() -> device.allocate(label, bytes));
    }

    @Override
    public HostBuffer allocateHost(String label, long bytes) {
      return allocating(() -> device.allocateHost(label, bytes));
    }

    @Override
    public Weight load(String name, List<TensorData> parts) {
      return allocating(() -> device.load(name, parts));
    }

    @Override
    public Queue createQueue(String name) {
      return allocating(() -> device.createQueue(name));
    }

    @Override
    public Event createEvent() {
      return allocating(device::createEvent);
    }

    @Override
    public String description() {
      return device.description();
    }

    @Override
    public ElementType activationType() {
      return device.activationType();
    }

    @Override
    public boolean bitExact() {
      return device.bitExact();
    }

    @Override
    public boolean prefersGraphs() {
      return device.prefersGraphs();
    }

    @Override
    public int recordedRows(int rows) {
      return device.recordedRows(rows);
    }

    @Override
    public boolean queuesOverlap() {
      return device.queuesOverlap();
    }

    @Override
    public long capacityBytes() {
      return device.capacityBytes();
    }

    @Override
    public long usedBytes() {
      return device.usedBytes();
    }

    @Override
    public long hostCapacityBytes() {
      return device.hostCapacityBytes();
    }

    @Override
    public long hostBytes() {
      return device.hostBytes();
    }

    @Override
    public Operations operations() {
      return device.operations();
    }

    @Override
    public void close() {
      device.close();
    }
  }
}
