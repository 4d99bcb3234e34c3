package dev.kvdrive.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What Python's operators do to the values of a template. */
final class Values {

  private static final int MAX_DEPTH = 200;

  private Values() {}

  /** A JSON value (or a Text) as a template value; its strings are data. */
  static Object of(@Nullable Object value) {
    return of(value, 0);
  }

  private static Object of(@Nullable Object value, int depth) {
    if (depth > MAX_DEPTH) {
      throw new TemplateException(
          "the template's data nests deeper than the limit of " + MAX_DEPTH);
    }
    return switch (value) {
      case null -> None.NONE;
      case Text text -> text;
      case Boolean flag -> flag;
      case Long number -> number;
      case Double number -> number;
      case BigInteger number -> Numbers.integer(number);
      case BigDecimal number -> number.doubleValue();
      case Float number -> number.doubleValue();
      case Number number -> number.longValue();
      case CharSequence text -> Text.data(text.toString());
      case List<?> list -> {
        List<Object> copy = new ArrayList<>(list.size());
        for (Object item : list) {
          copy.add(of(item, depth + 1));
        }
        yield copy;
      }
      case Map<?, ?> map -> {
        Map<Object, Object> copy = LinkedHashMap.newLinkedHashMap(map.size());
        map.forEach((key, item) -> copy.put(of(key, depth + 1), of(item, depth + 1)));
        yield copy;
      }
      default ->
          throw new TemplateException(
              "a value of " + value.getClass().getName() + " cannot be given to a template");
    };
  }

  static String type(Object value) {
    return switch (value) {
      case Undefined u -> "undefined ('" + u.name() + "')";
      case Text t -> "a string";
      case Long n -> "an integer";
      case BigInteger n -> "an integer";
      case Double n -> "a float";
      case Boolean b -> "a boolean";
      case None n -> "none";
      case List<?> l -> "a list";
      case Map<?, ?> m -> "a mapping";
      case Namespace n -> "a namespace";
      case Callable c -> "a function";
      default -> "an object";
    };
  }

  static boolean truth(Object value) {
    return switch (value) {
      case Boolean flag -> flag;
      case Undefined u -> false;
      case None n -> false;
      case Text text -> !text.isEmpty();
      case Long number -> number != 0;
      case BigInteger number -> true;
      case Double number -> number != 0;
      case List<?> list -> !list.isEmpty();
      case Map<?, ?> map -> !map.isEmpty();
      default -> true;
    };
  }

  static boolean equal(Object left, Object right) {
    Object a = left instanceof Boolean flag ? (Object) (flag ? 1L : 0L) : left;
    Object b = right instanceof Boolean flag ? (Object) (flag ? 1L : 0L) : right;
    if (a instanceof Long m && b instanceof Long n) {
      return m.longValue() == n.longValue();
    }
    if (a instanceof Number m && b instanceof Number n) {
      boolean integers = Numbers.isInteger(m) && Numbers.isInteger(n);
      return integers ? m.equals(n) : m.doubleValue() == n.doubleValue();
    }
    if (a instanceof List<?> m && b instanceof List<?> n) {
      if (m.size() != n.size() || m instanceof Tuple != n instanceof Tuple) {
        return false;
      }
      for (int i = 0; i < m.size(); i++) {
        if (!equal(m.get(i), n.get(i))) {
          return false;
        }
      }
      return true;
    }
    if (a instanceof Map<?, ?> m && b instanceof Map<?, ?> n) {
      if (m.size() != n.size()) {
        return false;
      }
      for (Map.Entry<?, ?> entry : m.entrySet()) {
        Object other = n.get(entry.getKey());
        if (other == null || !equal(entry.getValue(), other)) {
          return false;
        }
      }
      return true;
    }
    if (a instanceof Undefined) {
      return b instanceof Undefined;
    }
    return a.equals(b);
  }

  static int compare(Object left, Object right) {
    if (left instanceof Undefined undefined) {
      throw undefined.used();
    }
    if (right instanceof Undefined undefined) {
      throw undefined.used();
    }
    if (left instanceof Text a && right instanceof Text b) {
      return a.compareTo(b);
    }
    Object a = left instanceof Boolean flag ? (Object) (flag ? 1L : 0L) : left;
    Object b = right instanceof Boolean flag ? (Object) (flag ? 1L : 0L) : right;
    if (a instanceof Long m && b instanceof Long n) {
      return Long.compare(m, n);
    }
    if (Numbers.isInteger(a) && Numbers.isInteger(b)) {
      return Numbers.big(a).compareTo(Numbers.big(b));
    }
    if (a instanceof Number m && b instanceof Number n) {
      return Double.compare(m.doubleValue(), n.doubleValue());
    }
    if (a instanceof List<?> m && b instanceof List<?> n) {
      for (int i = 0; i < Math.min(m.size(), n.size()); i++) {
        int order = equal(m.get(i), n.get(i)) ? 0 : compare(m.get(i), n.get(i));
        if (order != 0) {
          return order;
        }
      }
      return Integer.compare(m.size(), n.size());
    }
    throw new TemplateException("cannot compare " + type(left) + " with " + type(right));
  }

  static boolean contains(Object container, Object item) {
    return switch (container) {
      case Text text -> {
        if (!(item instanceof Text part)) {
          throw new TemplateException("'in' a string needs a string, not " + type(item));
        }
        yield text.toString().contains(part.toString());
      }
      case List<?> list -> {
        for (Object element : list) {
          if (equal(element, item)) {
            yield true;
          }
        }
        yield false;
      }
      case Map<?, ?> map -> map.containsKey(item);
      case Undefined u -> false;
      default -> throw new TemplateException("'in' does not work on " + type(container));
    };
  }

  /** The elements that a loop goes over. */
  static List<?> elements(Object value) {
    return switch (value) {
      case List<?> list -> list;
      case Map<?, ?> map -> new ArrayList<>(map.keySet());
      case Text text -> characters(text);
      case Undefined u -> List.of();
      default -> throw new TemplateException(type(value) + " cannot be looped over");
    };
  }

  private static List<Object> characters(Text text) {
    List<Object> all = new ArrayList<>(text.length());
    String chars = text.toString();
    for (int at = 0; at < chars.length(); ) {
      int next = at + Character.charCount(chars.codePointAt(at));
      all.add(text.sub(at, next));
      at = next;
    }
    return all;
  }

  /** Number of code points of a text, or elements of a collection. */
  static long length(Object value) {
    return switch (value) {
      case Text text -> text.toString().codePointCount(0, text.length());
      case List<?> list -> list.size();
      case Map<?, ?> map -> map.size();
      case Undefined u -> 0;
      default -> throw new TemplateException(type(value) + " has no length");
    };
  }

  /** Python's str(). */
  static Text string(Object value, int limit) {
    return switch (value) {
      case Text text -> text;
      case Undefined u -> Text.EMPTY;
      case Boolean flag -> Text.template(flag ? "True" : "False");
      case None n -> Text.template("None");
      case Long number -> Text.template(Long.toString(number));
      case BigInteger number -> Text.template(number.toString());
      case Double number -> Text.template(number(number));
      default -> {
        Writer writer = new Writer(limit);
        writer.repr(value, 0);
        yield writer.text();
      }
    };
  }

  /** Python's repr(). */
  static Text repr(Object value, int limit) {
    Writer writer = new Writer(limit);
    writer.repr(value, 0);
    return writer.text();
  }

  /** A text in which everything beyond ASCII is escaped, as Python's ascii() does. */
  static Text ascii(Text text) {
    StringBuilder out = new StringBuilder(text.length());
    text.toString()
        .codePoints()
        .forEach(
            c -> {
              if (c < 0x80) {
                out.append((char) c);
              } else if (c < 0x100) {
                out.append(String.format("\\x%02x", c));
              } else {
                out.append(String.format(c < 0x10000 ? "\\u%04x" : "\\U%08x", c));
              }
            });
    return Text.derived(out.toString(), text.hasData());
  }

  /**
   * Python's json.dumps().
   *
   * @param ascii whether everything beyond ASCII is escaped
   */
  static Text json(
      Object value,
      boolean ascii,
      @Nullable String indent,
      String comma,
      String colon,
      boolean sort,
      int limit) {
    Writer writer = new Writer(limit);
    writer.ascii = ascii;
    writer.indent = indent;
    writer.comma = comma;
    writer.colon = colon;
    writer.sort = sort;
    writer.json(value, 0);
    return writer.text();
  }

  /** Python's repr of a float: the shortest digits, an exponent below 1e-4 and from 1e16. */
  static String number(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    BigDecimal exact = new BigDecimal(Double.toString(value)).stripTrailingZeros();
    int exponent = exact.precision() - exact.scale() - 1;
    if (exponent >= -4 && exponent < 16) {
      String plain = exact.toPlainString();
      return plain.contains(".") ? plain : plain + ".0";
    }
    String digits = exact.unscaledValue().abs().toString();
    String mantissa = digits.length() == 1 ? digits : digits.charAt(0) + "." + digits.substring(1);
    String sign = value < 0 ? "-" : "";
    return sign
        + mantissa
        + "e"
        + (exponent < 0 ? "-" : "+")
        + (Math.abs(exponent) < 10 ? "0" : "")
        + Math.abs(exponent);
  }

  /** Writes values as Python or JSON spells them. The result is data if any of it is. */
  private static final class Writer {

    private final StringBuilder out = new StringBuilder();
    private final int limit;
    private boolean data;
    private @Nullable String indent;
    private String comma = ", ";
    private String colon = ": ";
    private boolean sort;
    private boolean ascii;

    Writer(int limit) {
      this.limit = limit;
    }

    Text text() {
      return Text.derived(out.toString(), data);
    }

    private void put(String text) {
      if (text.length() > limit - out.length()) {
        throw new TemplateException(
            "the template writes more than the limit of " + limit + " characters");
      }
      out.append(text);
    }

    private static void nest(int depth) {
      if (depth > 2 * MAX_DEPTH) {
        throw new TemplateException(
            "a value nests deeper than the limit of " + 2 * MAX_DEPTH + ", or contains itself");
      }
    }

    void repr(Object value, int depth) {
      nest(depth);
      switch (value) {
        case Text text -> quoted(text);
        case List<?> list -> {
          boolean tuple = list instanceof Tuple;
          put(tuple ? "(" : "[");
          String separator = "";
          for (Object item : list) {
            put(separator);
            repr(item, depth + 1);
            separator = ", ";
          }
          put(tuple ? (list.size() == 1 ? ",)" : ")") : "]");
        }
        case Map<?, ?> map -> {
          put("{");
          String separator = "";
          for (Map.Entry<?, ?> entry : map.entrySet()) {
            put(separator);
            repr(entry.getKey(), depth + 1);
            put(": ");
            repr(entry.getValue(), depth + 1);
            separator = ", ";
          }
          put("}");
        }
        case Undefined u -> put("Undefined");
        case Boolean b -> put(b ? "True" : "False");
        case None n -> put("None");
        case Long n -> put(Long.toString(n));
        case BigInteger n -> put(n.toString());
        case Double n -> put(number(n));
        default -> put("<" + type(value) + ">");
      }
    }

    private void quoted(Text text) {
      data |= text.hasData();
      String chars = text.toString();
      char quote = chars.indexOf('\'') >= 0 && chars.indexOf('"') < 0 ? '"' : '\'';
      StringBuilder piece = new StringBuilder(chars.length() + 2).append(quote);
      chars
          .codePoints()
          .forEach(
              c -> {
                switch (c) {
                  case '\n' -> piece.append("\\n");
                  case '\r' -> piece.append("\\r");
                  case '\t' -> piece.append("\\t");
                  case '\\' -> piece.append("\\\\");
                  default -> {
                    if (c == quote) {
                      piece.append('\\').append(quote);
                    } else if (c < 0x20 || (c >= 0x7f && c < 0xa1) || c == 0xad) {
                      piece.append(String.format("\\x%02x", c));
                    } else {
                      piece.appendCodePoint(c);
                    }
                  }
                }
              });
      put(piece.append(quote).toString());
    }

    void json(Object value, int depth) {
      nest(depth);
      switch (value) {
        case Text text -> jsonString(text);
        case Boolean flag -> put(flag ? "true" : "false");
        case None n -> put("null");
        case Long number -> put(Long.toString(number));
        case BigInteger number -> put(number.toString());
        case Double number ->
            put(
                Double.isNaN(number)
                    ? "NaN"
                    : Double.isInfinite(number)
                        ? (number > 0 ? "Infinity" : "-Infinity")
                        : number(number));
        case List<?> list -> {
          if (list.isEmpty()) {
            put("[]");
            return;
          }
          put("[");
          String separator = "";
          for (Object item : list) {
            put(separator);
            line(depth + 1);
            json(item, depth + 1);
            separator = comma;
          }
          line(depth);
          put("]");
        }
        case Map<?, ?> map -> {
          if (map.isEmpty()) {
            put("{}");
            return;
          }
          put("{");
          String separator = "";
          Iterator<?> keys = sort ? sorted(map).iterator() : map.keySet().iterator();
          while (keys.hasNext()) {
            Object key = keys.next();
            put(separator);
            line(depth + 1);
            jsonString(key instanceof Text text ? text : jsonKey(key));
            put(colon);
            json(value(map, key), depth + 1);
            separator = comma;
          }
          line(depth);
          put("}");
        }
        default -> throw new TemplateException(type(value) + " cannot be written as JSON");
      }
    }

    private static Object value(Map<?, ?> map, Object key) {
      Object value = map.get(key);
      return value == null ? None.NONE : value;
    }

    private static List<Object> sorted(Map<?, ?> map) {
      List<Object> keys = new ArrayList<>(map.keySet());
      keys.sort(Values::compare);
      return keys;
    }

    private static Text jsonKey(Object key) {
      return switch (key) {
        case Boolean flag -> Text.template(flag ? "true" : "false");
        case None n -> Text.template("null");
        case Long n -> Text.template(Long.toString(n));
        case BigInteger n -> Text.template(n.toString());
        case Double n -> Text.template(number(n));
        default -> throw new TemplateException(type(key) + " cannot be a key in JSON");
      };
    }

    private void line(int depth) {
      if (indent != null) {
        put("\n" + indent.repeat(depth));
      }
    }

    private void jsonString(Text text) {
      data |= text.hasData();
      String chars = text.toString();
      StringBuilder piece = new StringBuilder(chars.length() + 2).append('"');
      for (int i = 0; i < chars.length(); i++) {
        char c = chars.charAt(i);
        switch (c) {
          case '"' -> piece.append("\\\"");
          case '\\' -> piece.append("\\\\");
          case '\n' -> piece.append("\\n");
          case '\r' -> piece.append("\\r");
          case '\t' -> piece.append("\\t");
          case '\b' -> piece.append("\\b");
          case '\f' -> piece.append("\\f");
          default -> {
            if (c < 0x20 || (ascii && c >= 0x7f)) {
              piece.append(String.format("\\u%04x", (int) c));
            } else {
              piece.append(c);
            }
          }
        }
      }
      put(piece.append('"').toString());
    }
  }
}
