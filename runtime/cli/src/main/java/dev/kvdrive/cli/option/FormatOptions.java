package dev.kvdrive.cli.option;

import dev.kvdrive.plan.ChunkFormat;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.Formats;
import dev.kvdrive.plan.KvType;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** What closed chunks look like, in the window and below it. */
public final class FormatOptions {
  @Option(
      names = "--backing",
      paramLabel = "FORMAT",
      description =
          "Chunks in DRAM and on NVMe: int8, which halves them, or the KV type (default: int8, but"
              + " the KV type where all of the context is attended, or that is f32).")
  private @Nullable ChunkFormat backing;

  @Option(
      names = "--resident",
      paramLabel = "FORMAT",
      description =
          "Chunks in the window: int8, which has nearly twice the slots in the same bytes and needs"
              + " chunks in int8 below, or the KV type (default: int8 on a GPU where chunks are int8 below,"
              + " else the KV type).")
  private @Nullable ChunkFormat resident;

  /**
   * The formats that are asked for, or go with the rest.
   *
   * @param budget share of the closed chunks attended per step; 1 is exact mode
   * @param device what computes
   * @throws ParameterException of the command if there cannot be such chunks
   */
  public Formats formats(CommandSpec spec, KvType type, double budget, DeviceKind device) {
    try {
      Formats formats = Formats.of(type, budget, device, resident, backing);
      formats.check(type);
      return formats;
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
    }
  }

  /** The settings of the runtime that were given. */
  Map<String, ChunkFormat> settings() {
    return backing == null
        ? resident == null ? Map.of() : Map.of("kvdrive.resident", resident)
        : resident == null
            ? Map.of("kvdrive.backing", backing)
            : Map.of("kvdrive.backing", backing, "kvdrive.resident", resident);
  }
}
