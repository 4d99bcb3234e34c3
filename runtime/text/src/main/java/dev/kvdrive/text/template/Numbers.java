package dev.kvdrive.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The arithmetic operators, which join texts and lists, too. An integer is a Long where it fits and
 * a BigInteger where it does not.
 */
final class Numbers {

  /** Room for integers of 4,200 digits; Python writes no longer ones either. */
  private static final int MAX_BITS = 14_000;

  private static final MathContext QUOTIENT = new MathContext(40);

  private Numbers() {}

  static Object require(Object value) {
    return switch (value) {
      case Long number -> number;
      case BigInteger number -> number;
      case Double number -> number;
      case Boolean flag -> flag ? 1L : 0L;
      case Undefined undefined -> throw undefined.used();
      default -> throw new TemplateException(Values.type(value) + " is not a number");
    };
  }

  static boolean isInteger(Object value) {
    return value instanceof Long || value instanceof BigInteger;
  }

  /** The integer in the form that all integers have. */
  static Object integer(BigInteger value) {
    if (value.bitLength() > MAX_BITS) {
      throw new TemplateException("an integer of " + value.bitLength() + " bits is too large");
    }
    return value.bitLength() < 64 ? (Object) value.longValue() : value;
  }

  /** The base that a prefix such as {@code 0x} stands for; 10 without one. */
  static int base(String prefix) {
    return switch (prefix) {
      case "0x", "0X" -> 16;
      case "0o", "0O" -> 8;
      case "0b", "0B" -> 2;
      default -> 10;
    };
  }

  /**
   * What Python's {@code int(text, base)} reads; null where that fails.
   *
   * @param base 0 for that of the prefix
   */
  static @Nullable Object parse(String text, int base) {
    String digits = text.strip();
    boolean negative = digits.startsWith("-");
    digits = negative || digits.startsWith("+") ? digits.substring(1) : digits;
    int prefixed = base(digits.substring(0, Math.min(2, digits.length())));
    if (prefixed != 10 && (base == 0 || base == prefixed)) {
      digits = digits.substring(2);
    }
    int used = base == 0 ? prefixed : base;
    digits = digits.replace("_", "");
    if (digits.isEmpty()
        || digits.length() > MAX_BITS
        || !digits.chars().allMatch(c -> Character.digit(c, used) >= 0)) {
      return null;
    }
    BigInteger value = new BigInteger(digits, used);
    return integer(negative ? value.negate() : value);
  }

  static BigInteger big(Object integer) {
    return integer instanceof BigInteger number ? number : BigInteger.valueOf((Long) integer);
  }

  static double decimal(Object number) {
    double value = ((Number) number).doubleValue();
    if (number instanceof BigInteger && Double.isInfinite(value)) {
      throw new TemplateException("an integer is too large for a float");
    }
    return value;
  }

  /** The integer part of a float. */
  static Object truncated(double value) {
    if (!Double.isFinite(value)) {
      throw new TemplateException(Values.number(value) + " is not an integer");
    }
    return integer(new BigDecimal(value).toBigInteger());
  }

  static Object negate(Object value) {
    return require(value) instanceof Double number
        ? (Object) (-number)
        : integer(big(require(value)).negate());
  }

  static Object abs(Object value) {
    return require(value) instanceof Double number
        ? (Object) Math.abs(number)
        : integer(big(require(value)).abs());
  }

  static Object apply(Rendering rendering, String operator, Object left, Object right) {
    if (left instanceof Undefined undefined) {
      throw undefined.used();
    }
    if (right instanceof Undefined undefined) {
      throw undefined.used();
    }
    if (left instanceof Text text) {
      return switch (operator) {
        case "+" -> {
          if (!(right instanceof Text other)) {
            throw operands(operator, left, right);
          }
          rendering.made((long) text.length() + other.length());
          yield text.plus(other);
        }
        case "*" -> repeat(rendering, text, right);
        case "%" -> PercentFormat.format(rendering, text, right);
        default -> throw operands(operator, left, right);
      };
    }
    if (operator.equals("*") && right instanceof Text text) {
      return repeat(rendering, text, left);
    }
    if (operator.equals("*") && left instanceof List<?> list && right instanceof Long times) {
      return repeat(rendering, list, times);
    }
    if (operator.equals("*") && right instanceof List<?> list && left instanceof Long times) {
      return repeat(rendering, list, times);
    }
    if (operator.equals("+") && left instanceof List<?> a && right instanceof List<?> b) {
      if (a instanceof Tuple != b instanceof Tuple) {
        throw operands(operator, left, right);
      }
      rendering.list((long) a.size() + b.size());
      List<Object> joined = new ArrayList<>(a);
      joined.addAll(b);
      return a instanceof Tuple ? new Tuple(joined) : joined;
    }
    if (!isNumber(left) || !isNumber(right)) {
      throw operands(operator, left, right);
    }
    Object a = require(left);
    Object b = require(right);
    return a instanceof Double || b instanceof Double
        ? (Object) floats(operator, decimal(a), decimal(b))
        : integers(operator, a, b);
  }

  private static boolean isNumber(Object value) {
    return isInteger(value) || value instanceof Double || value instanceof Boolean;
  }

  private static Text repeat(Rendering rendering, Text text, Object times) {
    if (!(times instanceof Long count)) {
      throw operands("*", text, times);
    }
    long repeated = text.isEmpty() ? 0 : Math.clamp(count, 0, Integer.MAX_VALUE);
    rendering.made(text.length() * repeated);
    Text.Builder builder = new Text.Builder(rendering.maxChars());
    for (long i = 0; i < repeated; i++) {
      builder.append(text);
    }
    return builder.build();
  }

  private static List<Object> repeat(Rendering rendering, List<?> list, long times) {
    long count = Math.clamp(times, 0, 1 << 24);
    rendering.list(list.size() * count);
    List<Object> repeated = new ArrayList<>();
    for (long i = 0; i < count && !list.isEmpty(); i++) {
      repeated.addAll(list);
    }
    return list instanceof Tuple ? new Tuple(repeated) : repeated;
  }

  private static Object integers(String operator, Object left, Object right) {
    if (operator.equals("**") && big(right).signum() < 0) {
      return floats(operator, decimal(left), decimal(right));
    }
    BigInteger a = big(left);
    BigInteger b = big(right);
    if (b.signum() == 0
        && (operator.equals("/") || operator.equals("//") || operator.equals("%"))) {
      throw new TemplateException("division by zero");
    }
    return switch (operator) {
      case "+" -> integer(a.add(b));
      case "-" -> integer(a.subtract(b));
      case "*" -> integer(a.multiply(b));
      case "/" -> decimal(a, b);
      case "//" -> integer(floor(a, b)[0]);
      case "%" -> integer(floor(a, b)[1]);
      default -> power(a, b);
    };
  }

  private static double decimal(BigInteger a, BigInteger b) {
    double quotient = new BigDecimal(a).divide(new BigDecimal(b), QUOTIENT).doubleValue();
    if (Double.isInfinite(quotient)) {
      throw new TemplateException("a quotient is too large for a float");
    }
    return quotient;
  }

  /** Quotient and remainder as Python has them: the remainder has the divisor's sign. */
  private static BigInteger[] floor(BigInteger a, BigInteger b) {
    BigInteger[] parts = a.divideAndRemainder(b);
    if (parts[1].signum() != 0 && parts[1].signum() != b.signum()) {
      parts[0] = parts[0].subtract(BigInteger.ONE);
      parts[1] = parts[1].add(b);
    }
    return parts;
  }

  private static Object power(BigInteger base, BigInteger exponent) {
    if (base.abs().compareTo(BigInteger.ONE) <= 0) {
      return integer(
          exponent.signum() == 0
              ? BigInteger.ONE
              : exponent.testBit(0) ? base : base.multiply(base));
    }
    if (exponent.bitLength() > 31
        || (long) (base.abs().bitLength() - 1) * exponent.intValue() > MAX_BITS) {
      throw new TemplateException("a power is too large");
    }
    return integer(base.pow(exponent.intValue()));
  }

  private static double floats(String operator, double a, double b) {
    if (b == 0 && (operator.equals("/") || operator.equals("//") || operator.equals("%"))) {
      throw new TemplateException("division by zero");
    }
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> Math.floor(a / b);
      case "%" -> a - Math.floor(a / b) * b;
      default -> Math.pow(a, b);
    };
  }

  private static TemplateException operands(String operator, Object left, Object right) {
    return new TemplateException(
        "'" + operator + "' does not work on " + Values.type(left) + " and " + Values.type(right));
  }
}
