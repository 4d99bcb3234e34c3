package dev.kvdrive.text.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntPredicate;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * The methods of strings, mappings and lists. Those that change their object are not there, as in
 * jinja2's immutable sandbox.
 */
final class Methods {

  private Methods() {}

  /** The method bound to its object, null when there is none of that name. */
  static @Nullable Callable find(Object target, String name) {
    return switch (target) {
      case Text text -> ofText(text, name);
      case Map<?, ?> map -> ofMap(map, name);
      case List<?> list -> ofList(list, name);
      default -> null;
    };
  }

  private static @Nullable Callable ofMap(Map<?, ?> map, String name) {
    return switch (name) {
      case "get" ->
          (r, a) -> {
            Object value = map.get(a.get(0, "key"));
            return value == null ? a.get(1, "default", None.NONE) : value;
          };
      case "items" -> (r, a) -> items(r, map);
      case "keys" ->
          (r, a) -> {
            r.list(map.size());
            return new ArrayList<Object>(map.keySet());
          };
      case "values" ->
          (r, a) -> {
            r.list(map.size());
            return new ArrayList<Object>(map.values());
          };
      case "copy" ->
          (r, a) -> {
            r.list(map.size());
            return new LinkedHashMap<Object, Object>(map);
          };
      default -> null;
    };
  }

  static List<Object> items(Rendering rendering, Map<?, ?> map) {
    rendering.list(map.size() * 3L);
    List<Object> items = new ArrayList<>(map.size());
    map.forEach((key, value) -> items.add(Tuple.of(key, value)));
    return items;
  }

  private static @Nullable Callable ofList(List<?> list, String name) {
    return switch (name) {
      case "index" ->
          (r, a) -> {
            for (int i = 0; i < list.size(); i++) {
              if (Values.equal(list.get(i), a.get(0, "value"))) {
                return (long) i;
              }
            }
            throw new TemplateException("the value is not in the list");
          };
      case "count" ->
          (r, a) -> list.stream().filter(item -> Values.equal(item, a.get(0, "value"))).count();
      case "copy" ->
          (r, a) -> {
            r.list(list.size());
            return new ArrayList<Object>(list);
          };
      default -> null;
    };
  }

  private static @Nullable Callable ofText(Text text, String name) {
    return switch (name) {
      case "strip" -> (r, a) -> r.made(strip(text, characters(a), true, true));
      case "lstrip" -> (r, a) -> r.made(strip(text, characters(a), true, false));
      case "rstrip" -> (r, a) -> r.made(strip(text, characters(a), false, true));
      case "upper" -> (r, a) -> r.made(map(text, s -> s.toUpperCase(Locale.ROOT)));
      case "lower" -> (r, a) -> r.made(map(text, s -> s.toLowerCase(Locale.ROOT)));
      case "title" -> (r, a) -> r.made(map(text, Methods::title));
      case "capitalize" -> (r, a) -> r.made(capitalize(text));
      case "swapcase" -> (r, a) -> r.made(map(text, Methods::swapCase));
      case "casefold" ->
          (r, a) -> r.made(map(text, s -> s.toUpperCase(Locale.ROOT).toLowerCase(Locale.ROOT)));
      case "expandtabs" -> (r, a) -> expandTabs(r, text, a.integer(0, "tabsize", 8));
      case "startswith" -> (r, a) -> affix(part(text, a), a, true);
      case "endswith" -> (r, a) -> affix(part(text, a), a, false);
      case "split" -> (r, a) -> split(r, text, a, false);
      case "rsplit" -> (r, a) -> split(r, text, a, true);
      case "splitlines" -> (r, a) -> lines(r, text, a.flag(0, "keepends", false));
      case "replace" ->
          (r, a) -> replace(r, text, a.text(0, "old"), a.text(1, "new"), a.integer(2, "count", -1));
      case "removeprefix" ->
          (r, a) -> {
            Text prefix = a.text(0, "prefix");
            return text.toString().startsWith(prefix.toString())
                ? r.made(text.sub(prefix.length(), text.length()))
                : text;
          };
      case "removesuffix" ->
          (r, a) -> {
            Text suffix = a.text(0, "suffix");
            return text.toString().endsWith(suffix.toString())
                ? r.made(text.sub(0, text.length() - suffix.length()))
                : text;
          };
      case "partition" -> (r, a) -> partition(r, text, a.text(0, "sep"), false);
      case "rpartition" -> (r, a) -> partition(r, text, a.text(0, "sep"), true);
      case "find" -> (r, a) -> find(text, a, false);
      case "rfind" -> (r, a) -> find(text, a, true);
      case "index" -> (r, a) -> index(text, a, false);
      case "rindex" -> (r, a) -> index(text, a, true);
      case "count" -> (r, a) -> count(part(text, a), a.text(0, "sub"));
      case "join" -> (r, a) -> join(r, text, Values.elements(a.get(0, "iterable")));
      case "format" -> (r, a) -> BraceFormat.format(r, text, a);
      case "format_map" -> (r, a) -> BraceFormat.formatMap(r, text, a.get(0, "mapping"));
      case "isdigit", "isdecimal", "isnumeric" -> (r, a) -> all(text, Character::isDigit);
      case "isalpha" -> (r, a) -> all(text, Character::isLetter);
      case "isalnum" -> (r, a) -> all(text, Character::isLetterOrDigit);
      case "isspace" -> (r, a) -> all(text, Lexer::isSpace);
      case "isascii" -> (r, a) -> text.toString().chars().allMatch(c -> c < 0x80);
      case "istitle" -> (r, a) -> isCased(text) && text.toString().equals(title(text.toString()));
      case "isupper" -> (r, a) -> isCased(text, true);
      case "islower" -> (r, a) -> isCased(text, false);
      case "zfill" -> (r, a) -> pad(r, text, a.integer(0, "width", 0), "0", 1, 0);
      case "ljust" -> (r, a) -> pad(r, text, a.integer(0, "width", 0), fill(a), 0, 1);
      case "rjust" -> (r, a) -> pad(r, text, a.integer(0, "width", 0), fill(a), 1, 0);
      case "center" -> (r, a) -> center(r, text, a.integer(0, "width", 0), fill(a));
      default -> null;
    };
  }

  private static String fill(Args args) {
    return args.text(1, "fillchar", Text.template(" ")).toString();
  }

  private static @Nullable Text characters(Args args) {
    Object value = args.find(0, "chars");
    return value == null || value == None.NONE ? null : args.text(0, "chars");
  }

  /** A change of all characters at once: if any was data, all are. */
  static Text map(Text text, UnaryOperator<String> change) {
    return Text.derived(change.apply(text.toString()), text.hasData());
  }

  static Text strip(Text text, @Nullable Text characters, boolean left, boolean right) {
    String chars = text.toString();
    IntPredicate strips =
        characters == null ? Lexer::isSpace : c -> characters.toString().indexOf(c) >= 0;
    int from = 0;
    int to = chars.length();
    while (left && from < to && strips.test(chars.codePointAt(from))) {
      from += Character.charCount(chars.codePointAt(from));
    }
    while (right && to > from && strips.test(chars.codePointBefore(to))) {
      to -= Character.charCount(chars.codePointBefore(to));
    }
    return text.sub(from, to);
  }

  static Text capitalize(Text text) {
    return map(
        text,
        s -> {
          int first = s.isEmpty() ? 0 : Character.charCount(s.codePointAt(0));
          return s.substring(0, first).toUpperCase(Locale.ROOT)
              + s.substring(first).toLowerCase(Locale.ROOT);
        });
  }

  private static String title(String text) {
    StringBuilder out = new StringBuilder(text.length());
    boolean inside = false;
    for (int at = 0; at < text.length(); ) {
      int c = text.codePointAt(at);
      boolean letter = Character.isLetter(c);
      out.appendCodePoint(
          letter ? (inside ? Character.toLowerCase(c) : Character.toTitleCase(c)) : c);
      inside = letter;
      at += Character.charCount(c);
    }
    return out.toString();
  }

  private static String swapCase(String text) {
    StringBuilder out = new StringBuilder(text.length());
    text.codePoints()
        .forEach(
            c ->
                out.appendCodePoint(
                    Character.isUpperCase(c)
                        ? Character.toLowerCase(c)
                        : Character.toUpperCase(c)));
    return out.toString();
  }

  private static boolean affix(Text text, Args args, boolean start) {
    Object affix = args.get(0, "prefix");
    for (Object one : affix instanceof List<?> several ? several : List.of(affix)) {
      if (!(one instanceof Text candidate)) {
        throw new TemplateException(args.callee() + " needs a string, not " + Values.type(one));
      }
      String chars = candidate.toString();
      if (start ? text.toString().startsWith(chars) : text.toString().endsWith(chars)) {
        return true;
      }
    }
    return false;
  }

  private static List<Object> split(Rendering rendering, Text text, Args args, boolean fromRight) {
    long max = args.integer(1, "maxsplit", -1);
    long left = max < 0 ? Long.MAX_VALUE : max;
    Object separator = args.get(0, "sep", None.NONE);
    List<Object> parts = new ArrayList<>();
    String chars = text.toString();
    if (separator == None.NONE) {
      words(text, left, fromRight, parts);
    } else {
      String sep = args.text(0, "sep").toString();
      if (sep.isEmpty()) {
        throw new TemplateException("split with an empty separator");
      }
      if (fromRight) {
        int to = chars.length();
        int at = chars.lastIndexOf(sep);
        for (; at >= 0 && left > 0; left--) {
          parts.add(text.sub(at + sep.length(), to));
          to = at;
          at = at < sep.length() ? -1 : chars.lastIndexOf(sep, at - sep.length());
        }
        parts.add(text.sub(0, to));
        parts = parts.reversed();
      } else {
        int from = 0;
        for (int at = chars.indexOf(sep); at >= 0 && left > 0; left--) {
          parts.add(text.sub(from, at));
          from = at + sep.length();
          at = chars.indexOf(sep, from);
        }
        parts.add(text.sub(from, chars.length()));
      }
    }
    rendering.list(parts.size());
    rendering.made(text.length());
    return parts;
  }

  private static void words(Text text, long max, boolean fromRight, List<Object> parts) {
    String chars = text.toString();
    List<int[]> spans = new ArrayList<>();
    int start = -1;
    for (int at = 0; at <= chars.length(); at++) {
      boolean space = at == chars.length() || Lexer.isSpace(chars.charAt(at));
      if (space && start >= 0) {
        spans.add(new int[] {start, at});
        start = -1;
      } else if (!space && start < 0) {
        start = at;
      }
    }
    int rest = (int) Math.max(0, spans.size() - Math.min(max, Integer.MAX_VALUE));
    if (rest <= 1) {
      spans.forEach(span -> parts.add(text.sub(span[0], span[1])));
    } else if (fromRight) {
      parts.add(text.sub(spans.getFirst()[0], spans.get(rest - 1)[1]));
      spans.subList(rest, spans.size()).forEach(s -> parts.add(text.sub(s[0], s[1])));
    } else {
      int whole = spans.size() - rest;
      spans.subList(0, whole).forEach(s -> parts.add(text.sub(s[0], s[1])));
      // The rest keeps the white space at its end.
      parts.add(text.sub(spans.get(whole)[0], chars.length()));
    }
  }

  static List<Object> lines(Rendering rendering, Text text, boolean keepEnds) {
    List<Object> lines = new ArrayList<>();
    String chars = text.toString();
    int from = 0;
    for (int at = 0; at < chars.length(); at++) {
      char c = chars.charAt(at);
      if ("\n\r\u000b\f\u001c\u001d\u001e\u0085\u2028\u2029".indexOf(c) >= 0) {
        int next = c == '\r' && at + 1 < chars.length() && chars.charAt(at + 1) == '\n' ? 2 : 1;
        lines.add(text.sub(from, keepEnds ? at + next : at));
        at += next - 1;
        from = at + 1;
      }
    }
    if (from < chars.length()) {
      lines.add(text.sub(from, chars.length()));
    }
    rendering.list(lines.size());
    rendering.made(text.length());
    return lines;
  }

  static Text replace(Rendering rendering, Text text, Text old, Text with, long count) {
    String chars = text.toString();
    String what = old.toString();
    long left = count < 0 ? Long.MAX_VALUE : count;
    Text.Builder out = new Text.Builder(rendering.maxChars());
    int done = 0;
    if (what.isEmpty()) {
      for (int at = 0; at < chars.length() && left > 0; left--) {
        out.append(with);
        int next = at + Character.charCount(chars.codePointAt(at));
        out.append(text, at, next);
        at = next;
        done = at;
      }
      if (done == chars.length() && left > 0) {
        out.append(with);
      }
    } else {
      for (int at = chars.indexOf(what); at >= 0 && left > 0; left--) {
        out.append(text, done, at);
        out.append(with);
        done = at + what.length();
        at = chars.indexOf(what, done);
      }
    }
    out.append(text, done, chars.length());
    return rendering.made(out.build());
  }

  private static List<Object> partition(
      Rendering rendering, Text text, Text separator, boolean last) {
    String sep = separator.toString();
    if (sep.isEmpty()) {
      throw new TemplateException("partition with an empty separator");
    }
    rendering.made(text.length());
    int at = last ? text.toString().lastIndexOf(sep) : text.toString().indexOf(sep);
    if (at < 0) {
      return last ? Tuple.of(Text.EMPTY, Text.EMPTY, text) : Tuple.of(text, Text.EMPTY, Text.EMPTY);
    }
    int after = at + sep.length();
    return Tuple.of(text.sub(0, at), text.sub(at, after), text.sub(after, text.length()));
  }

  /** The part of a text that the second and the third argument bound, in code points. */
  private static Text part(Text text, Args args) {
    if (args.positional().size() < 2) {
      return text;
    }
    String chars = text.toString();
    int from = chars.offsetByCodePoints(0, (int) bound(text, args, 1, 0));
    int to = chars.offsetByCodePoints(0, (int) bound(text, args, 2, Long.MAX_VALUE));
    return text.sub(Math.min(from, to), to);
  }

  private static long bound(Text text, Args args, int position, long absent) {
    Object given = args.get(position, "bound", None.NONE);
    long bound = given == None.NONE ? absent : args.integer(position, "bound", absent);
    long length = Values.length(text);
    return Math.clamp(bound < 0 ? bound + length : bound, 0, length);
  }

  /** Code points in front of a substring; -1 where there is none. */
  private static long find(Text text, Args args, boolean last) {
    String chars = part(text, args).toString();
    String what = args.text(0, "sub").toString();
    int at = last ? chars.lastIndexOf(what) : chars.indexOf(what);
    if (at < 0) {
      return -1;
    }
    return chars.codePointCount(0, at)
        + (args.positional().size() < 2 ? 0 : bound(text, args, 1, 0));
  }

  private static long index(Text text, Args args, boolean last) {
    long found = find(text, args, last);
    if (found < 0) {
      throw new TemplateException("the substring is not in the string");
    }
    return found;
  }

  private static Text expandTabs(Rendering rendering, Text text, long size) {
    String chars = text.toString();
    Text.Builder out = new Text.Builder(rendering.maxChars());
    long column = 0;
    int done = 0;
    for (int at = 0; at < chars.length(); at++) {
      char c = chars.charAt(at);
      if (c == '\t') {
        out.append(text, done, at);
        done = at + 1;
        long spaces = size <= 0 ? 0 : size - column % size;
        rendering.made(spaces);
        out.template(" ".repeat((int) spaces));
        column += spaces;
      } else {
        column = c == '\n' || c == '\r' ? 0 : Character.isLowSurrogate(c) ? column : column + 1;
      }
    }
    out.append(text, done, chars.length());
    return rendering.made(out.build());
  }

  private static long count(Text text, Text wanted) {
    String what = wanted.toString();
    if (what.isEmpty()) {
      return Values.length(text) + 1;
    }
    long count = 0;
    for (int at = text.toString().indexOf(what); at >= 0; count++) {
      at = text.toString().indexOf(what, at + what.length());
    }
    return count;
  }

  static Text join(Rendering rendering, Text separator, List<?> values) {
    Text.Builder out = new Text.Builder(rendering.maxChars());
    boolean first = true;
    for (Object value : values) {
      if (!first) {
        out.append(separator);
      }
      first = false;
      out.append(rendering.string(value));
    }
    return rendering.made(out.build());
  }

  private static boolean all(Text text, IntPredicate test) {
    return !text.isEmpty() && text.toString().codePoints().allMatch(test);
  }

  private static boolean isCased(Text text) {
    return text.toString()
        .codePoints()
        .anyMatch(c -> Character.isUpperCase(c) || Character.isLowerCase(c));
  }

  /** Whether all cased characters of a text, of which there is one, are of that case. */
  static boolean isCased(Object value, boolean upper) {
    String chars = value.toString();
    return chars.codePoints().anyMatch(c -> Character.isUpperCase(c) || Character.isLowerCase(c))
        && chars
            .codePoints()
            .noneMatch(c -> upper ? Character.isLowerCase(c) : Character.isUpperCase(c));
  }

  /**
   * @param left share of the padding on the left, relative to {@code right}
   */
  static Text pad(Rendering rendering, Text text, long width, String fill, int left, int right) {
    long missing = width - Values.length(text);
    return pad(rendering, text, missing, missing * left / (left + right), fill);
  }

  /** Python's center, which puts what is left over on the left where the width is odd. */
  static Text center(Rendering rendering, Text text, long width, String fill) {
    long missing = width - Values.length(text);
    return pad(rendering, text, missing, missing / 2 + (missing & width & 1), fill);
  }

  private static Text pad(Rendering rendering, Text text, long missing, long onLeft, String fill) {
    if (fill.codePointCount(0, fill.length()) != 1) {
      throw new TemplateException("a text is filled up with one character, not '" + fill + "'");
    }
    if (missing <= 0) {
      return text;
    }
    rendering.made(missing);
    rendering.made(text.length());
    int before = (int) onLeft;
    Text.Builder out = new Text.Builder(rendering.maxChars());
    out.template(fill.repeat(before));
    out.append(text);
    out.template(fill.repeat((int) missing - before));
    return out.build();
  }
}
