package dev.kvdrive.text.template;

import java.util.ArrayList;
import java.util.List;

/** The arithmetic operators, which join texts and lists, too. */
final class Numbers {

  private Numbers() {}

  static Object require(Object value) {
    return switch (value) {
      case Long number -> number;
      case Double number -> number;
      case Boolean flag -> flag ? 1L : 0L;
      case Undefined undefined -> throw undefined.used();
      default -> throw new TemplateException(Values.type(value) + " is not a number");
    };
  }

  static Object negate(Object value) {
    return require(value) instanceof Long number
        ? (Object) exact("-", 0, number)
        : (Object) (-((Double) require(value)));
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
        case "%" -> Format.percent(rendering, text, right);
        default -> throw operands(operator, left, right);
      };
    }
    if (right instanceof Text text && operator.equals("*")) {
      return repeat(rendering, text, left);
    }
    if (left instanceof List<?> a && right instanceof List<?> b && operator.equals("+")) {
      rendering.list((long) a.size() + b.size());
      List<Object> joined = new ArrayList<>(a);
      joined.addAll(b);
      return joined;
    }
    if (left instanceof List<?> list && operator.equals("*") && right instanceof Long times) {
      long count = Math.clamp(times, 0, 1 << 24);
      rendering.list(list.size() * count);
      List<Object> repeated = new ArrayList<>();
      for (long i = 0; i < count && !list.isEmpty(); i++) {
        repeated.addAll(list);
      }
      return repeated;
    }
    if (!isNumber(left) || !isNumber(right)) {
      throw operands(operator, left, right);
    }
    Object a = require(left);
    Object b = require(right);
    return a instanceof Long m && b instanceof Long n
        ? integers(operator, m, n)
        : floats(operator, ((Number) a).doubleValue(), ((Number) b).doubleValue());
  }

  private static boolean isNumber(Object value) {
    return value instanceof Long || value instanceof Double || value instanceof Boolean;
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

  private static Object integers(String operator, long a, long b) {
    return switch (operator) {
      case "/" -> {
        nonzero((double) b);
        yield (double) a / (double) b;
      }
      case "**" -> {
        if (b < 0) {
          yield Math.pow((double) a, (double) b);
        }
        long power = 1;
        long base = a;
        for (long rest = b; rest > 0; rest >>= 1) {
          if ((rest & 1) == 1) {
            power = exact("*", power, base);
          }
          if (rest > 1) {
            base = exact("*", base, base);
          }
        }
        yield power;
      }
      default -> exact(operator, a, b);
    };
  }

  private static long exact(String operator, long a, long b) {
    try {
      return switch (operator) {
        case "+" -> Math.addExact(a, b);
        case "-" -> Math.subtractExact(a, b);
        case "*" -> Math.multiplyExact(a, b);
        case "//" -> {
          nonzero((double) b);
          yield Math.floorDivExact(a, b);
        }
        default -> {
          nonzero((double) b);
          yield Math.floorMod(a, b);
        }
      };
    } catch (ArithmeticException e) {
      throw new TemplateException(a + " " + operator + " " + b + " leaves the range of integers");
    }
  }

  private static double floats(String operator, double a, double b) {
    if (operator.equals("/") || operator.equals("//") || operator.equals("%")) {
      nonzero(b);
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

  private static void nonzero(double divisor) {
    if (divisor == 0) {
      throw new TemplateException("division by zero");
    }
  }

  private static TemplateException operands(String operator, Object left, Object right) {
    return new TemplateException(
        "'" + operator + "' does not work on " + Values.type(left) + " and " + Values.type(right));
  }
}
