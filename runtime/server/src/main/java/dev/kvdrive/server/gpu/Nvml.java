package dev.kvdrive.server.gpu;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * NVIDIA's management library ({@code nvml.h}), of which every driver has one. Whatever it does not
 * have, or a card does not tell, is left out; nothing here throws for it. Calls may take
 * milliseconds, and longer with a card that fails, so they belong to a thread that nobody waits
 * for. One thread at a time.
 */
final class Nvml implements AutoCloseable {
  /** The library's name to the loader. */
  static final String LIBRARY = "libnvidia-ml.so.1";

  private static final int SUCCESS = 0;
  private static final int NAME_BYTES = 96;
  private static final int MAX_CARDS = 64;
  private static final int CORRECTED = 0;
  private static final int UNCORRECTED = 1;
  private static final int SINCE_THE_DRIVER_WAS_LOADED = 0;
  private static final int SENSOR_OF_THE_CHIP = 0;

  private static final AddressLayout POINTER = ValueLayout.ADDRESS;

  private final SymbolLookup library;
  private final @Nullable MethodHandle memory;
  private final @Nullable MethodHandle utilization;
  private final @Nullable MethodHandle eccErrors;
  private final @Nullable MethodHandle throttling;
  private final @Nullable MethodHandle temperature;
  private final @Nullable MethodHandle power;

  /** What a call has written. */
  private final MemorySegment out;

  /**
   * A card that the library shows.
   *
   * @param index its number in the library's order
   * @param uuid the driver's name of it, for instance {@code GPU-...}
   * @param product for instance {@code NVIDIA H200}
   * @param handle the library's
   */
  record Card(int index, String uuid, String product, MemorySegment handle) {}

  private Nvml(SymbolLookup library) {
    this.library = library;
    this.memory = bind("nvmlDeviceGetMemoryInfo", POINTER, POINTER);
    this.utilization = bind("nvmlDeviceGetUtilizationRates", POINTER, POINTER);
    this.eccErrors = bind("nvmlDeviceGetTotalEccErrors", POINTER, JAVA_INT, JAVA_INT, POINTER);
    MethodHandle reasons = bind("nvmlDeviceGetCurrentClocksEventReasons", POINTER, POINTER);
    // What drivers before 535 call it.
    this.throttling =
        reasons != null
            ? reasons
            : bind("nvmlDeviceGetCurrentClocksThrottleReasons", POINTER, POINTER);
    this.temperature = bind("nvmlDeviceGetTemperature", POINTER, JAVA_INT, POINTER);
    this.power = bind("nvmlDeviceGetPowerUsage", POINTER, POINTER);
    this.out = Arena.global().allocate(NAME_BYTES, Long.BYTES);
  }

  /**
   * Opens the library.
   *
   * @param name name for the loader, or path
   * @return nothing where there is none, or it does not start
   */
  static Optional<Nvml> open(String name) {
    try {
      // For good: of a library whose calls may hang nothing can be unloaded.
      Nvml nvml = new Nvml(SymbolLookup.libraryLookup(name, Arena.global()));
      if (succeeds(nvml.bind("nvmlInit_v2"))) {
        return Optional.of(nvml);
      }
    } catch (IllegalArgumentException e) {
      // No library of this name.
    }
    return Optional.empty();
  }

  private @Nullable MethodHandle bind(String name, MemoryLayout... arguments) {
    return library
        .find(name)
        .map(
            symbol ->
                Linker.nativeLinker()
                    .downcallHandle(symbol, FunctionDescriptor.of(JAVA_INT, arguments)))
        .orElse(null);
  }

  private static boolean succeeds(@Nullable MethodHandle call, Object... arguments) {
    if (call == null) {
      return false;
    }
    try {
      return (int) call.invokeWithArguments(arguments) == SUCCESS;
    } catch (Throwable t) {
      throw new IllegalStateException("NVML cannot be called: " + t, t);
    }
  }

  /** The cards that this process may see. */
  List<Card> cards() {
    List<Card> cards = new ArrayList<>();
    if (!succeeds(bind("nvmlDeviceGetCount_v2", POINTER), out)) {
      return cards;
    }
    int count = Math.min(out.get(JAVA_INT, 0), MAX_CARDS);
    MethodHandle byIndex = bind("nvmlDeviceGetHandleByIndex_v2", JAVA_INT, POINTER);
    MethodHandle uuid = bind("nvmlDeviceGetUUID", POINTER, POINTER, JAVA_INT);
    MethodHandle product = bind("nvmlDeviceGetName", POINTER, POINTER, JAVA_INT);
    for (int i = 0; i < count; i++) {
      if (succeeds(byIndex, i, out)) {
        MemorySegment handle = out.get(POINTER, 0);
        cards.add(new Card(i, text(uuid, handle), text(product, handle), handle));
      }
    }
    return cards;
  }

  private String text(@Nullable MethodHandle call, MemorySegment card) {
    if (!succeeds(call, card, out, NAME_BYTES)) {
      return "";
    }
    byte[] bytes = out.toArray(ValueLayout.JAVA_BYTE);
    int end = 0;
    while (end < bytes.length && bytes[end] != 0) {
      end++;
    }
    return new String(bytes, 0, end, StandardCharsets.UTF_8);
  }

  /** What a card tells now. */
  GpuFacts facts(Card card) {
    MemorySegment handle = card.handle();
    OptionalLong total = OptionalLong.empty();
    OptionalLong used = OptionalLong.empty();
    // nvmlMemory_t: total, free, used.
    if (succeeds(memory, handle, out)) {
      total = OptionalLong.of(out.get(JAVA_LONG, 0));
      used = OptionalLong.of(out.get(JAVA_LONG, 2 * Long.BYTES));
    }
    OptionalDouble busy = OptionalDouble.empty();
    OptionalDouble memoryBusy = OptionalDouble.empty();
    // nvmlUtilization_t: gpu, memory, in per cent.
    if (succeeds(utilization, handle, out)) {
      busy = OptionalDouble.of(out.get(JAVA_INT, 0) / 100.0);
      memoryBusy = OptionalDouble.of(out.get(JAVA_INT, Integer.BYTES) / 100.0);
    }
    return new GpuFacts(
        used,
        total,
        busy,
        memoryBusy,
        eccErrors(handle, CORRECTED),
        eccErrors(handle, UNCORRECTED),
        succeeds(throttling, handle, out)
            ? OptionalLong.of(out.get(JAVA_LONG, 0))
            : OptionalLong.empty(),
        succeeds(temperature, handle, SENSOR_OF_THE_CHIP, out)
            ? OptionalLong.of(out.get(JAVA_INT, 0))
            : OptionalLong.empty(),
        succeeds(power, handle, out)
            ? OptionalDouble.of(out.get(JAVA_INT, 0) / 1000.0)
            : OptionalDouble.empty());
  }

  private OptionalLong eccErrors(MemorySegment card, int kind) {
    return succeeds(eccErrors, card, kind, SINCE_THE_DRIVER_WAS_LOADED, out)
        ? OptionalLong.of(out.get(JAVA_LONG, 0))
        : OptionalLong.empty();
  }

  @Override
  public void close() {
    // Nothing is to be done about a library that does not end.
    boolean _ = succeeds(bind("nvmlShutdown"));
  }
}
