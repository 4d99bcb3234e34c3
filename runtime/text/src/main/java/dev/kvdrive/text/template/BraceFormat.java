package dev.kvdrive.text.template;

import java.math.BigInteger;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Python's {@code '{}'.format(x)}. */
final class BraceFormat {

  private final Rendering rendering;
  private final Args args;
  private int next;

  private BraceFormat(Rendering rendering, Args args) {
    this.rendering = rendering;
    this.args = args;
  }

  static Text format(Rendering rendering, Text format, Args args) {
    return new BraceFormat(rendering, args).fill(format, 2);
  }

  /**
   * Fills in a format.
   *
   * @param depth how deep fields may nest from here on
   */
  private Text fill(Text format, int depth) {
    if (depth == 0) {
      throw new TemplateException("the fields of a format string nest too deeply");
    }
    Text.Builder out = new Text.Builder(rendering.maxChars());
    String chars = format.toString();
    int done = 0;
    for (int at = 0; at < chars.length(); ) {
      char c = chars.charAt(at);
      if (c != '{' && c != '}') {
        at++;
        continue;
      }
      out.append(format, done, at);
      if (at + 1 < chars.length() && chars.charAt(at + 1) == c) {
        out.append(format, at, at + 1);
        at += 2;
      } else {
        int end = c == '{' ? end(chars, at) : -1;
        if (end < 0) {
          throw new TemplateException("a format string has a single brace");
        }
        out.append(field(format.sub(at + 1, end), depth));
        at = end + 1;
      }
      done = at;
    }
    out.append(format, done, chars.length());
    return rendering.made(out.build());
  }

  /** The brace that closes the one at {@code open}; -1 if there is none. */
  private static int end(String chars, int open) {
    int depth = 0;
    for (int at = open; at < chars.length(); at++) {
      if (chars.charAt(at) == '{') {
        depth++;
      } else if (chars.charAt(at) == '}' && --depth == 0) {
        return at;
      }
    }
    return -1;
  }

  private Text field(Text field, int depth) {
    String chars = field.toString();
    int brackets = 0;
    int stop = 0;
    for (; stop < chars.length(); stop++) {
      char c = chars.charAt(stop);
      brackets += c == '[' ? 1 : c == ']' ? -1 : 0;
      if (brackets == 0 && (c == '!' || c == ':')) {
        break;
      }
    }
    Object value = value(chars.substring(0, stop));
    if (stop < chars.length() && chars.charAt(stop) == '!') {
      char conversion = stop + 1 < chars.length() ? chars.charAt(stop + 1) : ' ';
      value = converted(value, conversion);
      stop += 2;
      if (stop < chars.length() && chars.charAt(stop) != ':') {
        throw new TemplateException("a format string has more than a conversion behind '!'");
      }
    }
    String spec =
        stop < chars.length()
            ? fill(field.sub(stop + 1, chars.length()), depth - 1).toString()
            : "";
    return spec.isEmpty() ? rendering.string(value) : new Spec(spec).write(rendering, value);
  }

  private Object converted(Object value, char conversion) {
    return switch (conversion) {
      case 's' -> rendering.string(value);
      case 'r' -> Values.repr(value, rendering.maxChars());
      case 'a' -> Values.ascii(Values.repr(value, rendering.maxChars()));
      default ->
          throw new TemplateException(
              "the conversion '!" + conversion + "' is not one of Python's");
    };
  }

  private Object value(String name) {
    int end = 0;
    while (end < name.length() && name.charAt(end) != '[' && name.charAt(end) != '.') {
      end++;
    }
    String first = name.substring(0, end);
    Object value;
    if (first.isEmpty()) {
      value = args.get(next, "{" + next + "}");
      next++;
    } else if (isIndex(first)) {
      value = args.get(Integer.parseInt(first), "{" + first + "}");
    } else {
      value = args.get(Integer.MAX_VALUE, first);
    }
    while (end < name.length()) {
      if (name.charAt(end) == '.') {
        throw new TemplateException(
            "a format string cannot read the attribute '" + name.substring(end) + "'");
      }
      int close = name.indexOf(']', end);
      if (close < 0) {
        throw new TemplateException("a format string has a '[' that is not closed");
      }
      String key = name.substring(end + 1, close);
      value = rendering.item(value, isIndex(key) ? (Object) Long.valueOf(key) : Text.template(key));
      if (value instanceof Undefined undefined) {
        throw undefined.used();
      }
      end = close + 1;
    }
    return value;
  }

  private static boolean isIndex(String name) {
    return !name.isEmpty() && name.length() < 6 && name.chars().allMatch(c -> c >= '0' && c <= '9');
  }

  /** {@code [[fill]align][sign][#][0][width][grouping][.precision][type]}. */
  private static final class Spec {
    private final String source;
    private String fill = " ";
    private char align;
    private char sign = '-';
    private boolean alternate;
    private long width;
    private char grouping;
    private int precision = -1;
    private char type;

    Spec(String source) {
      this.source = source;
      int at = 0;
      int first = source.isEmpty() ? 0 : Character.charCount(source.codePointAt(0));
      if (first < source.length() && "<>=^".indexOf(source.charAt(first)) >= 0) {
        fill = source.substring(0, first);
        align = source.charAt(first);
        at = first + 1;
      } else if (!source.isEmpty() && "<>=^".indexOf(source.charAt(0)) >= 0) {
        align = source.charAt(0);
        at = 1;
      }
      if (at < source.length() && "+- ".indexOf(source.charAt(at)) >= 0) {
        sign = source.charAt(at++);
      }
      if (at < source.length() && source.charAt(at) == '#') {
        alternate = true;
        at++;
      }
      if (at < source.length() && source.charAt(at) == '0') {
        fill = align == 0 ? "0" : fill;
        align = align == 0 ? '0' : align;
        at++;
      }
      int start = at;
      at = digits(at);
      width = start == at ? 0 : number(start, at);
      if (at < source.length() && ",_".indexOf(source.charAt(at)) >= 0) {
        grouping = source.charAt(at++);
      }
      if (at < source.length() && source.charAt(at) == '.') {
        int from = ++at;
        at = digits(at);
        if (from == at) {
          throw unknown();
        }
        precision = (int) Math.min(Integer.MAX_VALUE, number(from, at));
      }
      if (at < source.length()) {
        type = source.charAt(at++);
      }
      if (at < source.length()) {
        throw unknown();
      }
    }

    private int digits(int from) {
      int at = from;
      while (at < source.length() && source.charAt(at) >= '0' && source.charAt(at) <= '9') {
        at++;
      }
      return at;
    }

    private long number(int from, int to) {
      return to - from > 12 ? 1L << 40 : Long.parseLong(source.substring(from, to));
    }

    private TemplateException unknown() {
      return new TemplateException("'" + source + "' is not a format of Python's");
    }

    private TemplateException unsuitable(Object value) {
      return new TemplateException(
          "the format '" + source + "' does not suit " + Values.type(value));
    }

    Text write(Rendering rendering, Object value) {
      Object plain = value instanceof Boolean flag ? (Object) (flag ? 1L : 0L) : value;
      return switch (plain) {
        case Text text -> text(rendering, text);
        case Double number -> decimal(rendering, number);
        case Long number -> integer(rendering, number);
        case BigInteger number -> integer(rendering, number);
        default -> throw unsuitable(value);
      };
    }

    private Text text(Rendering rendering, Text text) {
      if ((type != 0 && type != 's') || align == '=' || sign != '-' || alternate || grouping != 0) {
        throw unsuitable(text);
      }
      Text shown =
          precision >= 0 && Values.length(text) > precision
              ? text.sub(0, text.toString().offsetByCodePoints(0, precision))
              : text;
      return padded(rendering, shown, align == 0 || align == '0' ? '<' : align);
    }

    private Text padded(Rendering rendering, Text text, char where) {
      int left = where == '<' ? 0 : 1;
      int right = where == '>' ? 0 : 1;
      return Methods.pad(rendering, text, width, fill, left, right);
    }

    private Text integer(Rendering rendering, Object number) {
      if ("eEfFgG%".indexOf(type) >= 0 && type != 0) {
        return decimal(rendering, Numbers.decimal(number));
      }
      if (precision >= 0) {
        throw unsuitable(number);
      }
      BigInteger value = Numbers.big(number);
      if (type == 'c') {
        if (value.signum() < 0
            || value.bitLength() > 21
            || value.intValue() > Character.MAX_CODE_POINT) {
          throw unsuitable(number);
        }
        return padded(
            rendering,
            Text.template(Character.toString(value.intValue())),
            align == 0 ? '<' : align == '0' ? '>' : align);
      }
      if (type != 0 && "bdoxXn".indexOf(type) < 0) {
        throw unsuitable(number);
      }
      String digits = NumberFormat.digits(value.abs(), type);
      int group = type == 0 || type == 'd' || type == 'n' ? 3 : 4;
      if (grouping == ',' && group == 4) {
        throw unsuitable(number);
      }
      return number(
          rendering,
          NumberFormat.sign(value.signum() < 0, sign)
              + (alternate ? NumberFormat.prefix(type) : ""),
          grouped(digits, group),
          "");
    }

    private Text decimal(Rendering rendering, double value) {
      String before = NumberFormat.sign(NumberFormat.isNegative(value), sign);
      String digits;
      String after = "";
      if (type == 0) {
        digits =
            precision >= 0
                ? NumberFormat.plain(value, NumberFormat.precision(precision))
                : Values.number(Math.abs(value));
      } else if (type == '%') {
        after = "%";
        digits =
            NumberFormat.decimal(value * 100, 'f', NumberFormat.precision(precision), alternate);
      } else if ("eEfFgGn".indexOf(type) >= 0) {
        digits =
            NumberFormat.decimal(
                value, type == 'n' ? 'g' : type, NumberFormat.precision(precision), alternate);
      } else {
        throw unsuitable(value);
      }
      int whole = 0;
      while (whole < digits.length() && Character.isDigit(digits.charAt(whole))) {
        whole++;
      }
      return number(
          rendering,
          before,
          grouped(digits.substring(0, whole), 3) + digits.substring(whole),
          after);
    }

    private String grouped(String digits, int group) {
      if (grouping == 0) {
        return digits;
      }
      if (align == '0' || (align == '=' && fill.equals("0"))) {
        throw new TemplateException(
            "the format '" + source + "' is not supported: zeros in groups");
      }
      StringBuilder out = new StringBuilder(digits);
      for (int at = digits.length() - group; at > 0; at -= group) {
        out.insert(at, grouping);
      }
      return out.toString();
    }

    private Text number(Rendering rendering, String before, String digits, String after) {
      String all = before + digits + after;
      if (align != '0' && align != '=') {
        return padded(rendering, Text.template(all), align == 0 ? '>' : align);
      }
      long missing = width - all.codePointCount(0, all.length());
      rendering.made(Math.max(0, missing));
      return Text.template(before + fill.repeat((int) Math.max(0, missing)) + digits + after);
    }
  }

  /** Values of a mapping. */
  static Text formatMap(Rendering rendering, Text format, Object values) {
    if (!(values instanceof Map<?, ?> map)) {
      throw new TemplateException("format_map needs a mapping, not " + Values.type(values));
    }
    Map<String, Object> named = new HashMap<>();
    map.forEach((key, value) -> named.put(String.valueOf(key), value));
    return format(rendering, format, new Args("format_map", List.of(), named));
  }
}
