package dev.kvdrive.text.template;

import dev.kvdrive.text.template.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Cuts a template's source into tokens, with {@code trim_blocks} (the newline after a block goes)
 * and {@code lstrip_blocks} (the blanks before a block that begins a line go).
 */
final class Lexer {

  static final int MAX_SOURCE = 1 << 20;

  private static final List<String> OPERATORS =
      List.of(
          "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{",
          "}", ">", "<", "=", ".", ":", "|", ",", ";");
  private static final Pattern END_RAW = Pattern.compile("\\{%([-+]?)\\s*endraw\\s*([-+]?)%}");
  private static final Pattern RAW = Pattern.compile("\\s*raw\\s*([-+]?)%}");

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int at;
  private int line = 1;
  private int lineAt;

  private Lexer(String source) {
    this.source = source;
  }

  static List<Token> tokens(String source) {
    if (source.length() > MAX_SOURCE) {
      throw new TemplateException(
          "the template has "
              + source.length()
              + " characters, more than the limit of "
              + MAX_SOURCE);
    }
    String normal = source.replace("\r\n", "\n").replace('\r', '\n');
    // jinja2 drops one newline at the end of a template.
    if (normal.endsWith("\n")) {
      normal = normal.substring(0, normal.length() - 1);
    }
    Lexer lexer = new Lexer(normal);
    lexer.run();
    return lexer.tokens;
  }

  private void run() {
    while (at < source.length()) {
      int begin = nextTag();
      if (begin < 0) {
        data(at, source.length());
        at = source.length();
        break;
      }
      char kind = source.charAt(begin + 1);
      char sign = begin + 2 < source.length() ? source.charAt(begin + 2) : ' ';
      boolean signed = sign == '-' || sign == '+';
      data(at, stripped(at, begin, kind, signed ? sign : ' '));
      at = begin + (signed ? 3 : 2);
      switch (kind) {
        case '{' -> {
          add(Kind.VARIABLE_BEGIN, "{{", begin);
          expression("}}", Kind.VARIABLE_END);
        }
        case '%' -> {
          Matcher raw = RAW.matcher(source).region(at, source.length());
          if (raw.lookingAt()) {
            raw(raw);
          } else {
            add(Kind.BLOCK_BEGIN, "{%", begin);
            expression("%}", Kind.BLOCK_END);
          }
        }
        default -> comment(begin);
      }
    }
    add(Kind.END, "", source.length());
  }

  private int nextTag() {
    for (int i = source.indexOf('{', at);
        i >= 0 && i + 1 < source.length();
        i = source.indexOf('{', i + 1)) {
      char c = source.charAt(i + 1);
      if (c == '{' || c == '%' || c == '#') {
        return i;
      }
    }
    return -1;
  }

  /** Where the data before a tag ends. */
  private int stripped(int from, int to, char kind, char sign) {
    int end = to;
    if (sign == '-') {
      while (end > from && isSpace(source.charAt(end - 1))) {
        end--;
      }
    } else if (sign != '+' && kind != '{') {
      while (end > from && isSpace(source.charAt(end - 1)) && source.charAt(end - 1) != '\n') {
        end--;
      }
      boolean startsLine = end == 0 || source.charAt(end - 1) == '\n';
      if (!startsLine) {
        end = to;
      }
    }
    return end;
  }

  private void data(int from, int to) {
    if (to > from) {
      add(Kind.DATA, source.substring(from, to), from);
    }
  }

  private void comment(int begin) {
    int end = source.indexOf("#}", at);
    if (end < 0) {
      throw error("a comment is not closed", begin);
    }
    char sign = source.charAt(end - 1);
    at = end + 2;
    afterTag(end - 1 >= begin + 2 ? sign : ' ', true);
  }

  /** Skips what a tag's end takes along. */
  private void afterTag(char sign, boolean block) {
    if (sign == '-') {
      while (at < source.length() && isSpace(source.charAt(at))) {
        at++;
      }
    } else if (sign != '+' && block && at < source.length() && source.charAt(at) == '\n') {
      at++;
    }
  }

  private void raw(Matcher begin) {
    at = begin.end();
    afterTag(begin.group(1).isEmpty() ? ' ' : begin.group(1).charAt(0), true);
    Matcher end = END_RAW.matcher(source);
    if (!end.find(at)) {
      throw error("a raw block is not closed", at);
    }
    String sign = end.group(1);
    data(at, stripped(at, end.start(), '%', sign.isEmpty() ? ' ' : sign.charAt(0)));
    at = end.end();
    afterTag(end.group(2).isEmpty() ? ' ' : end.group(2).charAt(0), true);
  }

  private void expression(String close, Kind end) {
    int braces = 0;
    while (true) {
      while (at < source.length() && isSpace(source.charAt(at))) {
        at++;
      }
      if (at >= source.length()) {
        throw error("the template ends inside a tag", at);
      }
      char c = source.charAt(at);
      boolean signed = (c == '-' || c == '+') && source.startsWith(close, at + 1);
      if (braces == 0 && (signed || source.startsWith(close, at))) {
        add(end, close, at);
        at += close.length() + (signed ? 1 : 0);
        afterTag(signed ? c : ' ', end == Kind.BLOCK_END);
        return;
      }
      if (c == '"' || c == '\'') {
        string(c);
      } else if (c >= '0' && c <= '9') {
        number();
      } else if (Character.isUnicodeIdentifierStart(c) || c == '_') {
        int start = at;
        while (at < source.length()
            && (Character.isUnicodeIdentifierPart(source.charAt(at)) || source.charAt(at) == '_')) {
          at++;
        }
        add(Kind.NAME, source.substring(start, at), start);
      } else {
        String operator = operator();
        if (operator.equals("{") || operator.equals("[") || operator.equals("(")) {
          braces++;
        } else if (operator.equals("}") || operator.equals("]") || operator.equals(")")) {
          braces--;
          if (braces < 0) {
            throw error("unexpected '" + operator + "'", at);
          }
        }
        add(Kind.OPERATOR, operator, at);
        at += operator.length();
      }
    }
  }

  private String operator() {
    for (String operator : OPERATORS) {
      if (source.startsWith(operator, at)) {
        return operator;
      }
    }
    throw error("unexpected character '" + Character.toString(source.codePointAt(at)) + "'", at);
  }

  private void number() {
    int start = at;
    int base = Numbers.base(source.substring(at, Math.min(source.length(), at + 2)));
    if (base != 10) {
      at += 2;
      while (at < source.length()
          && (Character.digit(source.charAt(at), base) >= 0 || source.charAt(at) == '_')) {
        at++;
      }
      add(Kind.INTEGER, source.substring(start, at), start);
      return;
    }
    digits();
    Kind kind = Kind.INTEGER;
    if (at + 1 < source.length() && source.charAt(at) == '.' && isDigit(source.charAt(at + 1))) {
      at++;
      digits();
      kind = Kind.FLOAT;
    }
    if (at < source.length() && (source.charAt(at) == 'e' || source.charAt(at) == 'E')) {
      int sign = at + 1;
      if (sign < source.length() && (source.charAt(sign) == '+' || source.charAt(sign) == '-')) {
        sign++;
      }
      if (sign < source.length() && isDigit(source.charAt(sign))) {
        at = sign;
        digits();
        kind = Kind.FLOAT;
      }
    }
    add(kind, source.substring(start, at).replace("_", ""), start);
  }

  private void digits() {
    while (at < source.length() && (isDigit(source.charAt(at)) || source.charAt(at) == '_')) {
      at++;
    }
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  private void string(char quote) {
    int start = at++;
    StringBuilder value = new StringBuilder();
    while (at < source.length() && source.charAt(at) != quote) {
      char c = source.charAt(at++);
      if (c != '\\' || at >= source.length()) {
        value.append(c);
        continue;
      }
      char escape = source.charAt(at++);
      switch (escape) {
        case 'n' -> value.append('\n');
        case 't' -> value.append('\t');
        case 'r' -> value.append('\r');
        case 'b' -> value.append('\b');
        case 'f' -> value.append('\f');
        case 'a' -> value.append('\u0007');
        case 'v' -> value.append('\u000b');
        case '0' -> value.append('\0');
        case '\\', '\'', '"' -> value.append(escape);
        case '\n' -> {}
        case 'x' -> value.append((char) hex(2));
        case 'u' -> value.append((char) hex(4));
        case 'U' -> value.appendCodePoint(hex(8));
        default -> value.append('\\').append(escape);
      }
    }
    if (at >= source.length()) {
      throw error("a string is not closed", start);
    }
    at++;
    add(Kind.STRING, value.toString(), start);
  }

  private int hex(int digits) {
    long value = 0;
    for (int i = 0; i < digits; i++) {
      int digit = at < source.length() ? Character.digit(source.charAt(at), 16) : -1;
      if (digit < 0) {
        throw error("a string has an escape that is not hexadecimal", at);
      }
      value = value * 16 + digit;
      at++;
    }
    if (value > Character.MAX_CODE_POINT) {
      throw error("a string has an escape beyond Unicode", at);
    }
    return (int) value;
  }

  static boolean isSpace(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  private void add(Kind kind, String value, int position) {
    tokens.add(new Token(kind, value, lineOf(position)));
  }

  private int lineOf(int position) {
    int to = Math.min(position, source.length());
    while (lineAt < to) {
      if (source.charAt(lineAt++) == '\n') {
        line++;
      }
    }
    return line;
  }

  private TemplateException error(String message, int position) {
    return new TemplateException(message + " (line " + lineOf(position) + ")");
  }
}
