package dev.kvdrive.cpu;

import dev.kvdrive.plan.ChunkLayout;
import dev.kvdrive.plan.KvType;

/**
 * Values as part of the panels of {@link TileKernels}, {@code
 * [padded/COLUMNS][panelRows][COLUMNS]}, the padding 0. Kernels: see {@link Lanes}.
 */
final class PanelKernels {
  private static final int COLUMNS = TileKernels.COLUMNS;

  private PanelKernels() {}

  /**
   * Widens rows.
   *
   * @param source address of {@code rows} rows of {@code width} elements
   * @param at first of the panels' rows
   */
  static void ofRows(
      KvType type,
      long source,
      int rows,
      int width,
      float[] panels,
      int panelRows,
      int at,
      int padded) {
    if (type == KvType.BF16) {
      ofBfloat16(source, rows, width, panels, panelRows, at);
    } else {
      ofFloats(source, rows, width, panels, panelRows, at);
    }
    int whole = width - width % COLUMNS;
    if (whole < width) {
      for (int t = 0; t < rows; t++) {
        long row = source + (long) t * width * type.bytes();
        int to = (whole / COLUMNS * panelRows + at + t) * COLUMNS;
        for (int i = 0; i < padded - whole; i++) {
          panels[to + i] = whole + i < width ? KvRows.get(type, row, whole + i) : 0;
        }
      }
    }
  }

  private static void ofBfloat16(
      long source, int rows, int width, float[] panels, int panelRows, int at) {
    int whole = width - width % COLUMNS;
    for (int t = 0; t < rows; t++) {
      long row = source + 2L * t * width;
      for (int i = 0; i < whole; i += COLUMNS) {
        int to = (i / COLUMNS * panelRows + at + t) * COLUMNS;
        Lanes.loadBfloat16(row + 2L * i).intoArray(panels, to);
        Lanes.loadBfloat16(row + 2L * (i + Lanes.N)).intoArray(panels, to + Lanes.N);
      }
    }
  }

  private static void ofFloats(
      long source, int rows, int width, float[] panels, int panelRows, int at) {
    int whole = width - width % COLUMNS;
    for (int t = 0; t < rows; t++) {
      long row = source + 4L * t * width;
      for (int i = 0; i < whole; i += COLUMNS) {
        int to = (i / COLUMNS * panelRows + at + t) * COLUMNS;
        Lanes.load(row + 4L * i).intoArray(panels, to);
        Lanes.load(row + 4L * (i + Lanes.N)).intoArray(panels, to + Lanes.N);
      }
    }
  }

  /**
   * Widens the values of a chunk of a byte an element.
   *
   * @param values address of the half
   * @param at first of the panels' rows
   */
  static void ofCodes(
      ChunkLayout layout, long values, float[] panels, int panelRows, int at, int padded) {
    int width = layout.headDim();
    int whole = width - width % COLUMNS;
    for (int t = 0; t < layout.chunk(); t++) {
      long row = values + (long) t * width;
      float step = Int8Rows.step(layout, values, t);
      for (int i = 0; i < whole; i += COLUMNS) {
        int to = (i / COLUMNS * panelRows + at + t) * COLUMNS;
        Lanes.loadBytes(row + i).mul(step).intoArray(panels, to);
        Lanes.loadBytes(row + i + Lanes.N).mul(step).intoArray(panels, to + Lanes.N);
      }
      if (whole < width) {
        int to = (whole / COLUMNS * panelRows + at + t) * COLUMNS;
        for (int i = 0; i < padded - whole; i++) {
          panels[to + i] = whole + i < width ? Memory.getByte(row + whole + i) * step : 0;
        }
      }
    }
  }
}
