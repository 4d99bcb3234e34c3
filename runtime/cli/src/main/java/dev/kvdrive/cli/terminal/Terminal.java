package dev.kvdrive.cli.terminal;

import java.io.Console;
import java.io.PrintWriter;
import java.util.Map;

/**
 * Where a command writes for a person. What a file or a pipe gets is plain text that only grows;
 * colours and lines that change are for terminals, and colours only if NO_COLOR is not set.
 */
public final class Terminal {
  private static final String ERASE = "\r\u001b[2K";

  private final PrintWriter out;
  private final boolean live;
  private final boolean colour;
  private final boolean unicode;
  private boolean lineOpen;

  /**
   * @param live whether a line can be overwritten
   * @param colour whether colours are shown
   * @param unicode whether more than ASCII can be shown
   */
  public Terminal(PrintWriter out, boolean live, boolean colour, boolean unicode) {
    this.out = out;
    this.live = live;
    this.colour = colour;
    this.unicode = unicode;
  }

  /** What {@code out} is, as far as the process can tell. */
  @SuppressWarnings("SystemConsoleNull") // since JDK 25 it is null again where there is no terminal
  public static Terminal of(PrintWriter out) {
    Console console = System.console();
    boolean live = console != null && console.isTerminal();
    return new Terminal(
        out,
        live,
        live && wantsColour(System.getenv()),
        "UTF-8".equalsIgnoreCase(System.getProperty("stdout.encoding")));
  }

  static boolean wantsColour(Map<String, String> environment) {
    // no-color.org: any value but the empty one
    return environment.getOrDefault("NO_COLOR", "").isEmpty()
        && !environment.getOrDefault("TERM", "dumb").equals("dumb");
  }

  /** Whether a line can be overwritten. */
  public boolean live() {
    return live;
  }

  /** Whether more than ASCII can be shown. */
  public boolean unicode() {
    return unicode;
  }

  /** A whole line. */
  public void line(String text) {
    finishLine();
    out.println(text);
    out.flush();
  }

  /** A part of a line, shown at once. */
  public void part(String text) {
    finishLine();
    out.print(text);
    out.flush();
  }

  /** On a live terminal, a line that the next line replaces; otherwise nothing. */
  public void passing(String text) {
    if (live) {
      out.print(ERASE + text);
      out.flush();
      lineOpen = true;
    }
  }

  private void finishLine() {
    if (lineOpen) {
      out.print(ERASE);
      lineOpen = false;
    }
  }

  public String bold(String text) {
    return coloured("1", text);
  }

  public String faint(String text) {
    return coloured("2", text);
  }

  public String good(String text) {
    return coloured("32", text);
  }

  public String bad(String text) {
    return coloured("31", text);
  }

  private String coloured(String code, String text) {
    return colour ? "\u001b[" + code + "m" + text + "\u001b[0m" : text;
  }
}
