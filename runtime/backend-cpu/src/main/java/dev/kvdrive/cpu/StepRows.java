package dev.kvdrive.cpu;

import dev.kvdrive.device.StepBatch;

/** Addresses of what a {@link StepBatch} describes. */
final class StepRows {
  final int rows;
  private final long positions;
  private final long seats;
  private final long selectCounts;

  StepRows(StepBatch batch) {
    rows = batch.rows();
    positions = CpuBuffer.address(batch.positions());
    seats = CpuBuffer.address(batch.seats());
    selectCounts = CpuBuffer.address(batch.selectCounts());
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
}
