package dev.kvdrive.cpu;

import dev.kvdrive.device.StepBatch;

/** Addresses of what a {@link StepBatch} describes. */
final class StepRows {
  final int rows;
  private final long positions;
  private final long seats;
  private final long selectCounts;
  private final long mayMiss;

  StepRows(StepBatch batch) {
    rows = batch.rows();
    positions = CpuBuffer.address(batch.positions());
    seats = CpuBuffer.address(batch.seats());
    selectCounts = CpuBuffer.address(batch.selectCounts());
    mayMiss = batch.mayMiss() == null ? 0 : CpuBuffer.address(batch.mayMiss());
  }

  /** Seat of a row, or -1. */
  int seat(int row) {
    return Memory.getInt(seats + 4L * row);
  }

  /** Position of a row's newest token. */
  int position(int row) {
    return Memory.getInt(positions + 4L * row);
  }

  /** Tokens of a row's sequence, the newest included. */
  int tokens(int row) {
    return position(row) + 1;
  }

  int selectCount(int row) {
    return Memory.getInt(selectCounts + 4L * row);
  }

  /** Share of its attention that a row may miss. */
  float mayMiss(int row) {
    return mayMiss == 0 ? 0 : Memory.getFloat(mayMiss + 4L * row);
  }
}
