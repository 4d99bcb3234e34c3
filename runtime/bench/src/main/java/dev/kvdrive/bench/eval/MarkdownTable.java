package dev.kvdrive.bench.eval;

import java.util.List;

/** A table as Markdown, padded so that it can be read as it is. */
final class MarkdownTable {
  private MarkdownTable() {}

  /**
   * The table; its first column is to the left, the others to the right.
   *
   * @param rows the head first; all of the same length
   */
  static String of(List<List<String>> rows) {
    int[] widths = new int[rows.getFirst().size()];
    for (List<String> row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    StringBuilder out = new StringBuilder();
    for (int r = 0; r < rows.size(); r++) {
      out.append('|');
      for (int i = 0; i < widths.length; i++) {
        String cell = rows.get(r).get(i);
        String padding = " ".repeat(widths[i] - cell.length());
        out.append(' ').append(i == 0 ? cell + padding : padding + cell).append(" |");
      }
      out.append('\n');
      if (r == 0) {
        out.append('|');
        for (int i = 0; i < widths.length; i++) {
          String line = "-".repeat(widths[i] + 1);
          out.append(i == 0 ? line + "-|" : line + ":|");
        }
        out.append('\n');
      }
    }
    return out.toString();
  }
}
