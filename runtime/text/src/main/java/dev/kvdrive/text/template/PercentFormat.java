package dev.kvdrive.text.template;

import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Python's {@code '%s' % x}. */
final class PercentFormat {

  private final Rendering rendering;
  private final Text format;
  private final String chars;
  private final Object values;
  private int at;
  private int used;

  /** Flags, width and precision of one conversion. */
  private static final class Spec {
    boolean left;
    boolean zero;
    boolean alternate;
    char sign = '-';
    long width;
    int precision = -1;
  }

  private PercentFormat(Rendering rendering, Text format, Object values) {
    this.rendering = rendering;
    this.format = format;
    this.chars = format.toString();
    this.values = values;
  }

  /**
   * Fills in a format.
   *
   * @param values a tuple for several values, a mapping for named ones, else the only value
   */
  static Text format(Rendering rendering, Text format, Object values) {
    return new PercentFormat(rendering, format, values).run();
  }

  /** The filter: values by position or by name. */
  static Text filter(Rendering rendering, Text format, Args args) {
    if (args.named().isEmpty()) {
      return format(rendering, format, new Tuple(args.positional()));
    }
    if (!args.positional().isEmpty()) {
      throw new TemplateException("format takes values by position or by name, not both");
    }
    Map<Object, Object> named = new LinkedHashMap<>();
    args.named().forEach((name, value) -> named.put(Text.template(name), value));
    return format(rendering, format, named);
  }

  private Text run() {
    Text.Builder out = new Text.Builder(rendering.maxChars());
    int done = 0;
    for (int found = chars.indexOf('%'); found >= 0; found = chars.indexOf('%', done)) {
      out.append(format, done, found);
      at = found + 1;
      conversion(out);
      done = at;
    }
    boolean several = values instanceof Tuple;
    int given = several ? ((List<?>) values).size() : 1;
    if (used < given && !(values instanceof Map<?, ?> || (values instanceof List<?> && !several))) {
      throw new TemplateException("not all values are used by the format string");
    }
    out.append(format, done, chars.length());
    return rendering.made(out.build());
  }

  private void conversion(Text.Builder out) {
    Object named = null;
    if (at < chars.length() && chars.charAt(at) == '(') {
      named = named();
    }
    Spec spec = flags();
    spec.width = number(spec);
    if (at < chars.length() && chars.charAt(at) == '.') {
      at++;
      spec.precision = Math.clamp(number(new Spec()), 0, Integer.MAX_VALUE);
    }
    while (at < chars.length() && "hlL".indexOf(chars.charAt(at)) >= 0) {
      at++;
    }
    if (at >= chars.length()) {
      throw new TemplateException("a format string ends in an incomplete '%'");
    }
    char letter = chars.charAt(at++);
    if (letter == '%') {
      out.template("%");
      return;
    }
    write(out, spec, letter, named == null ? next() : named);
  }

  private Object named() {
    int end = chars.indexOf(')', at);
    if (end < 0) {
      throw new TemplateException("a format string has a name that is not closed");
    }
    if (!(values instanceof Map<?, ?> map)) {
      throw new TemplateException(
          "a format with names needs a mapping, not " + Values.type(values));
    }
    String name = chars.substring(at + 1, end);
    Object value = map.get(Text.template(name));
    if (value == null) {
      throw new TemplateException("the format string names '" + name + "', which is not given");
    }
    at = end + 1;
    used = 1;
    return value;
  }

  private Object next() {
    List<?> list = values instanceof Tuple several ? several : List.of(values);
    if (used >= list.size()) {
      throw new TemplateException("not enough values for the format string");
    }
    return list.get(used++);
  }

  private Spec flags() {
    Spec spec = new Spec();
    for (; at < chars.length(); at++) {
      switch (chars.charAt(at)) {
        case '-' -> spec.left = true;
        case '0' -> spec.zero = true;
        case '#' -> spec.alternate = true;
        case '+' -> spec.sign = '+';
        case ' ' -> spec.sign = spec.sign == '+' ? '+' : ' ';
        default -> {
          return spec;
        }
      }
    }
    return spec;
  }

  /** A width or precision; a negative one of the values turns the text to the left. */
  private long number(Spec spec) {
    if (at < chars.length() && chars.charAt(at) == '*') {
      at++;
      if (!(next() instanceof Long given)) {
        throw new TemplateException("'*' in a format string needs an integer");
      }
      spec.left |= given < 0;
      return Math.abs(Math.clamp(given, -(1L << 40), 1L << 40));
    }
    long value = 0;
    for (; at < chars.length() && chars.charAt(at) >= '0' && chars.charAt(at) <= '9'; at++) {
      value = Math.min(1L << 40, value * 10 + chars.charAt(at) - '0');
    }
    return value;
  }

  private void write(Text.Builder out, Spec spec, char letter, Object value) {
    switch (letter) {
      case 's' -> text(out, spec, rendering.string(value));
      case 'r' -> text(out, spec, Values.repr(value, rendering.maxChars()));
      case 'a' -> text(out, spec, Values.ascii(Values.repr(value, rendering.maxChars())));
      case 'c' -> text(out, spec, character(value));
      case 'd', 'i', 'u' -> {
        Object number = Numbers.require(value);
        integer(out, spec, 'd', number instanceof Double d ? Numbers.truncated(d) : number);
      }
      case 'o', 'x', 'X' -> {
        Object number = Numbers.require(value);
        if (number instanceof Double) {
          throw new TemplateException("'%" + letter + "' needs an integer, not a float");
        }
        integer(out, spec, letter, number);
      }
      case 'e', 'E', 'f', 'F', 'g', 'G' -> {
        double number = Numbers.decimal(Numbers.require(value));
        String digits =
            NumberFormat.decimal(
                number, letter, NumberFormat.precision(spec.precision), spec.alternate);
        number(
            out,
            spec,
            NumberFormat.sign(NumberFormat.isNegative(number), spec.sign),
            digits,
            Double.isFinite(number));
      }
      default -> throw new TemplateException("the format '%" + letter + "' is not one of Python's");
    }
  }

  private static Text character(Object value) {
    if (value instanceof Text text && Values.length(text) == 1) {
      return text;
    }
    if (value instanceof Long code && Character.isValidCodePoint(Math.clamp(code, -1, 1 << 22))) {
      return Text.template(Character.toString(code.intValue()));
    }
    throw new TemplateException("the format of a character needs one, or its number");
  }

  private void text(Text.Builder out, Spec spec, Text text) {
    Text shown = text;
    if (spec.precision >= 0 && Values.length(text) > spec.precision) {
      shown = text.sub(0, text.toString().offsetByCodePoints(0, spec.precision));
    }
    out.append(
        Methods.pad(rendering, shown, spec.width, " ", spec.left ? 0 : 1, spec.left ? 1 : 0));
  }

  private void integer(Text.Builder out, Spec spec, char letter, Object number) {
    BigInteger value = Numbers.big(number);
    String digits = NumberFormat.digits(value.abs(), letter);
    int missing = spec.precision < 0 ? 0 : NumberFormat.precision(spec.precision) - digits.length();
    digits = "0".repeat(Math.max(0, missing)) + digits;
    String prefix = spec.alternate ? NumberFormat.prefix(letter) : "";
    number(out, spec, NumberFormat.sign(value.signum() < 0, spec.sign) + prefix, digits, true);
  }

  private void number(Text.Builder out, Spec spec, String before, String digits, boolean zeros) {
    long missing = spec.width - before.length() - digits.length();
    rendering.made(Math.max(0, missing));
    String fill =
        missing <= 0 ? "" : (spec.zero && zeros && !spec.left ? "0" : " ").repeat((int) missing);
    if (spec.left) {
      out.template(before + digits + fill);
    } else if (spec.zero && zeros) {
      out.template(before + fill + digits);
    } else {
      out.template(fill + before + digits);
    }
  }
}
