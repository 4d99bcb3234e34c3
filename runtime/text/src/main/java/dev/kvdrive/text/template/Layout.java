package dev.kvdrive.text.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Filters that lay a text out for people. */
final class Layout {

  private static final int PRETTY_WIDTH = 80;
  private static final int MAX_NESTING = 200;
  private static final Map<String, String> ENTITIES =
      Map.of("amp", "&", "lt", "<", "gt", ">", "quot", "\"", "apos", "'", "nbsp", "\u00a0");
  private static final Pattern ENTITY = Pattern.compile("&(#[xX]?[0-9a-fA-F]{1,7}|[a-z]{2,4});");

  private Layout() {}

  // wordwrap

  static Text wrap(Rendering rendering, Text text, Args args) {
    long width = args.integer(0, "width", 79);
    if (width < 1) {
      throw new TemplateException("wordwrap needs a width from 1, not " + width);
    }
    boolean breakLong = args.flag(1, "break_long_words", true);
    Object given = args.get(2, "wrapstring", None.NONE);
    Text newline = given == None.NONE ? Text.template("\n") : args.text(2, "wrapstring");
    boolean hyphens = args.flag(3, "break_on_hyphens", true);
    List<Object> all = new ArrayList<>();
    for (Object line : Methods.lines(rendering, text, false)) {
      List<Text> lines = wrap((Text) line, width, breakLong, hyphens);
      rendering.list(lines.size());
      if (lines.isEmpty()) {
        all.add(Text.EMPTY);
      }
      all.addAll(lines);
    }
    return Methods.join(rendering, newline, all);
  }

  private static List<Text> wrap(Text line, long width, boolean breakLong, boolean hyphens) {
    String chars = line.toString();
    List<Text> lines = new ArrayList<>();
    List<Integer> ends = ends(chars, hyphens);
    int start = 0;
    int next = 0;
    while (next < ends.size()) {
      // White space does not begin a line, but the first.
      if (!lines.isEmpty() && Lexer.isSpace(chars.charAt(start))) {
        start = ends.get(next++);
        continue;
      }
      int end = start;
      while (next < ends.size() && chars.codePointCount(start, ends.get(next)) <= width) {
        end = ends.get(next++);
      }
      if (next < ends.size() && chars.codePointCount(end, ends.get(next)) > width) {
        long room = width - chars.codePointCount(start, end);
        if (breakLong && room > 0) {
          end = chars.offsetByCodePoints(end, (int) room);
        } else if (end == start) {
          end = ends.get(next++);
        }
      }
      int last = end;
      while (last > start && Lexer.isSpace(chars.charAt(last - 1))) {
        last--;
      }
      if (last > start) {
        lines.add(line.sub(start, last));
      }
      start = end;
    }
    return lines;
  }

  /** Where a line can be cut: around white space, behind hyphens inside words, and at its end. */
  private static List<Integer> ends(String line, boolean hyphens) {
    List<Integer> ends = new ArrayList<>();
    for (int at = 1; at <= line.length(); at++) {
      boolean cut =
          at == line.length()
              || Lexer.isSpace(line.charAt(at)) != Lexer.isSpace(line.charAt(at - 1))
              || (hyphens && isBehindHyphen(line, at));
      if (cut) {
        ends.add(at);
      }
    }
    return ends;
  }

  private static boolean isBehindHyphen(String line, int at) {
    return at >= 2
        && line.charAt(at - 1) == '-'
        && Character.isLetter(line.charAt(at - 2))
        && Character.isLetter(line.charAt(at));
  }

  // striptags

  static String withoutTags(String text) {
    String bare = without(without(text, "<!--", "-->"), "<", ">");
    StringBuilder words = new StringBuilder(bare.length());
    boolean space = false;
    for (int at = 0; at < bare.length(); at++) {
      char c = bare.charAt(at);
      if (Lexer.isSpace(c)) {
        space = true;
        continue;
      }
      words.append(space && !words.isEmpty() ? " " : "").append(c);
      space = false;
    }
    return ENTITY
        .matcher(words)
        .replaceAll(found -> Matcher.quoteReplacement(entity(found.group())));
  }

  private static String without(String text, String open, String close) {
    StringBuilder out = new StringBuilder(text.length());
    int done = 0;
    for (int at = text.indexOf(open); at >= 0; at = text.indexOf(open, done)) {
      int end = text.indexOf(close, at + open.length());
      if (end < 0) {
        break;
      }
      out.append(text, done, at);
      done = end + close.length();
    }
    return out.append(text, done, text.length()).toString();
  }

  private static String entity(String written) {
    String name = written.substring(1, written.length() - 1);
    if (name.charAt(0) != '#') {
      return ENTITIES.getOrDefault(name, written);
    }
    boolean hex = name.length() > 1 && Character.toLowerCase(name.charAt(1)) == 'x';
    Object code = Numbers.parse(name.substring(hex ? 2 : 1), hex ? 16 : 10);
    return code instanceof Long number && number <= Character.MAX_CODE_POINT
        ? Character.toString(number.intValue())
        : written;
  }

  // pprint

  /** Python's repr with sorted keys, over several lines where one is too short. */
  static Text pretty(Object value, int limit) {
    Text.Builder out = new Text.Builder(limit);
    pretty(out, sorted(value, 0), 0, 0, limit);
    return out.build();
  }

  /**
   * @param indent characters in front of the value
   * @param behind characters that must fit behind it
   */
  private static void pretty(Text.Builder out, Object value, int indent, int behind, int limit) {
    Text flat = Values.repr(value, limit);
    boolean fits = Values.length(flat) <= PRETTY_WIDTH - indent - behind;
    String separator = ",\n" + " ".repeat(indent + 1);
    if (!fits && value instanceof Map<?, ?> map && !map.isEmpty()) {
      out.template("{");
      int left = map.size();
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        Text key = Values.repr(entry.getKey(), limit);
        out.append(key).template(": ");
        int column = indent + 1 + (int) Values.length(key) + 2;
        pretty(out, entry.getValue(), column, --left == 0 ? behind + 1 : 1, limit);
        out.template(left == 0 ? "}" : separator);
      }
    } else if (!fits && value instanceof List<?> list && !list.isEmpty()) {
      boolean tuple = list instanceof Tuple;
      String close = !tuple ? "]" : list.size() == 1 ? ",)" : ")";
      out.template(tuple ? "(" : "[");
      int left = list.size();
      for (Object element : list) {
        pretty(out, element, indent + 1, --left == 0 ? behind + close.length() : 1, limit);
        out.template(left == 0 ? close : separator);
      }
    } else {
      out.append(flat);
    }
  }

  private static Object sorted(Object value, int depth) {
    if (depth > MAX_NESTING) {
      throw new TemplateException("a value nests too deeply, or contains itself");
    }
    if (value instanceof Map<?, ?> map) {
      List<Map.Entry<?, ?>> entries = new ArrayList<>(map.entrySet());
      if (entries.stream().allMatch(entry -> entry.getKey() instanceof Text)) {
        entries.sort((left, right) -> Values.compare(left.getKey(), right.getKey()));
      }
      Map<Object, Object> copy = new LinkedHashMap<>();
      entries.forEach(entry -> copy.put(entry.getKey(), sorted(entry.getValue(), depth + 1)));
      return copy;
    }
    if (value instanceof List<?> list) {
      List<Object> copy = new ArrayList<>(list.size());
      list.forEach(element -> copy.add(sorted(element, depth + 1)));
      return list instanceof Tuple ? new Tuple(copy) : copy;
    }
    return value;
  }
}
