package dev.kvdrive.cli.status;

import dev.kvdrive.model.file.Printable;
import java.util.ArrayList;
import java.util.List;

/** A table as wide as what is in it. */
final class Columns {
  private final List<List<String>> rows = new ArrayList<>();
  private final String indent;

  Columns(String indent, String... heading) {
    this.indent = indent;
    rows.add(List.of(heading));
  }

  void row(List<String> cells) {
    if (cells.size() != rows.getFirst().size()) {
      throw new IllegalArgumentException(
          "%d cells below %d headings".formatted(cells.size(), rows.getFirst().size()));
    }
    rows.add(cells.stream().map(Printable::of).toList());
  }

  /** All rows, each with its end of line. */
  String text() {
    int[] widths = new int[rows.getFirst().size()];
    for (List<String> row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    StringBuilder out = new StringBuilder();
    for (List<String> row : rows) {
      StringBuilder line = new StringBuilder(indent);
      for (int i = 0; i < widths.length; i++) {
        line.append(row.get(i)).append(" ".repeat(widths[i] - row.get(i).length() + 3));
      }
      out.append(line.toString().stripTrailing()).append('\n');
    }
    return out.toString();
  }
}
