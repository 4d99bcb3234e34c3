package dev.kvdrive.cli.terminal;

/**
 * How far something is: a bar that grows on a live terminal, and a line for every tenth elsewhere.
 */
public final class ProgressBar {
  private static final int CELLS = 32;

  private final Terminal terminal;
  private final String label;
  private int lastTenth = -1;

  /**
   * @param label what is going on
   */
  public ProgressBar(Terminal terminal, String label) {
    this.terminal = terminal;
    this.label = label;
  }

  /**
   * Shows a new state.
   *
   * @param share what is done, in [0, 1]
   * @param detail speed or time left
   */
  public void update(double share, String detail) {
    if (terminal.live()) {
      terminal.passing("%s %s %3.0f %%  %s".formatted(label, bar(share), 100 * share, detail));
      return;
    }
    int tenth = (int) (10 * share);
    if (tenth > lastTenth) {
      lastTenth = tenth;
      terminal.line("%s %3.0f %%  %s".formatted(label, 100 * share, detail).stripTrailing());
    }
  }

  private String bar(double share) {
    int full = (int) Math.round(CELLS * Math.clamp(share, 0, 1));
    String done = terminal.unicode() ? "█" : "#";
    String open = terminal.unicode() ? "░" : ".";
    return terminal.good(done.repeat(full)) + terminal.faint(open.repeat(CELLS - full));
  }
}
