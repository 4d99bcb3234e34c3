package dev.kvdrive.text.template;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;
import java.util.Map;

/** Python's two ways to fill in a string: {@code '%s' % x} and {@code '{}'.format(x)}. */
final class Format {

  private Format() {}

  static Text percent(Rendering rendering, Text format, Object values) {
    List<?> list = values instanceof List<?> several ? several : List.of(values);
    Text.Builder out = new Text.Builder(rendering.maxChars());
    String chars = format.toString();
    int used = 0;
    int done = 0;
    for (int at = chars.indexOf('%'); at >= 0; at = chars.indexOf('%', done)) {
      out.append(format, done, at);
      int code = at + 1;
      int precision = -1;
      if (code < chars.length() && chars.charAt(code) == '.') {
        int start = ++code;
        while (code < chars.length() && code < start + 2 && Character.isDigit(chars.charAt(code))) {
          code++;
        }
        precision = code == start ? 0 : Integer.parseInt(chars.substring(start, code));
      }
      if (code >= chars.length()) {
        throw new TemplateException("a format string ends in an incomplete '%'");
      }
      done = code + 1;
      char conversion = chars.charAt(code);
      if (conversion == '%') {
        out.template("%");
        continue;
      }
      if (used >= list.size()) {
        throw new TemplateException("not enough values for the format string");
      }
      Object value = list.get(used++);
      switch (conversion) {
        case 's' -> out.append(rendering.string(value));
        case 'r' -> out.append(Values.repr(value, rendering.maxChars()));
        case 'd', 'i' -> {
          Object number = Numbers.require(value);
          out.template(Long.toString(((Number) number).longValue()));
        }
        case 'f' -> {
          double number = ((Number) Numbers.require(value)).doubleValue();
          if (!Double.isFinite(number)) {
            out.template(Values.number(number));
          } else {
            out.template(
                new BigDecimal(number)
                    .setScale(precision < 0 ? 6 : precision, RoundingMode.HALF_EVEN)
                    .toPlainString());
          }
        }
        default ->
            throw new TemplateException(
                "the format '%" + conversion + "' is not supported; supported are s, r, d, i, f");
      }
    }
    if (values instanceof List<?> && used < list.size()) {
      throw new TemplateException("not all values are used by the format string");
    }
    out.append(format, done, format.length());
    return rendering.made(out.build());
  }

  static Text braces(Rendering rendering, Text format, Args args) {
    Text.Builder out = new Text.Builder(rendering.maxChars());
    String chars = format.toString();
    int next = 0;
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
        done = at;
        continue;
      }
      int end = chars.indexOf('}', at);
      if (c == '}' || end < 0) {
        throw new TemplateException("a format string has a single brace");
      }
      String field = chars.substring(at + 1, end);
      Object value;
      if (field.isEmpty()) {
        value = args.get(next, "{" + next + "}");
        next++;
      } else if (field.length() < 4 && field.chars().allMatch(d -> d >= '0' && d <= '9')) {
        value = args.get(Integer.parseInt(field), "{" + field + "}");
      } else {
        value = args.get(Integer.MAX_VALUE, field);
      }
      out.append(rendering.string(value));
      at = end + 1;
      done = at;
    }
    out.append(format, done, format.length());
    return rendering.made(out.build());
  }

  /** Values by name for a format, or by position. */
  static Text filter(Rendering rendering, Text format, Args args) {
    if (!args.named().isEmpty()) {
      Map<String, Object> named = args.named();
      throw new TemplateException(
          "format with the names " + named.keySet() + " is not supported; give values by position");
    }
    return percent(rendering, format, args.positional());
  }
}
