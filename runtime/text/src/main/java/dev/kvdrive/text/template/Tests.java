package dev.kvdrive.text.template;

import java.math.BigInteger;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The tests behind {@code is}. */
final class Tests {

  private interface Test {
    boolean holds(Object value, Args args);
  }

  private static final Map<String, Test> ALL = new HashMap<>();

  static {
    ALL.put("defined", (v, a) -> !(v instanceof Undefined));
    ALL.put("undefined", (v, a) -> v instanceof Undefined);
    ALL.put("none", (v, a) -> v == None.NONE);
    ALL.put("boolean", (v, a) -> v instanceof Boolean);
    ALL.put("true", (v, a) -> v.equals(true));
    ALL.put("false", (v, a) -> v.equals(false));
    ALL.put("string", (v, a) -> v instanceof Text);
    ALL.put("integer", (v, a) -> Numbers.isInteger(v));
    ALL.put("float", (v, a) -> v instanceof Double);
    ALL.put("number", (v, a) -> v instanceof Number || v instanceof Boolean);
    ALL.put("mapping", (v, a) -> v instanceof Map<?, ?>);
    ALL.put("callable", (v, a) -> v instanceof Callable);
    ALL.put("sequence", (v, a) -> isCollection(v));
    ALL.put("iterable", (v, a) -> isCollection(v) || v instanceof Undefined);
    ALL.put("odd", (v, a) -> integer(v).testBit(0));
    ALL.put("even", (v, a) -> !integer(v).testBit(0));
    ALL.put(
        "divisibleby",
        (v, a) -> {
          long by = a.integer(0, "num", 0);
          if (by == 0) {
            throw new TemplateException("division by zero");
          }
          return integer(v).mod(BigInteger.valueOf(Math.abs(by))).signum() == 0;
        });
    ALL.put("lower", (v, a) -> Methods.isCased(v, false));
    ALL.put("upper", (v, a) -> Methods.isCased(v, true));
    ALL.put("in", (v, a) -> Values.contains(a.get(0, "seq"), v));
    ALL.put("sameas", (v, a) -> v.equals(a.get(0, "other")));
    ALL.put("escaped", (v, a) -> false);
    ALL.put("filter", (v, a) -> v instanceof Text name && Filters.exists(name.toString()));
    ALL.put("test", (v, a) -> v instanceof Text name && Tests.exists(name.toString()));
    named((v, a) -> Values.equal(v, a.get(0, "other")), "eq", "equalto", "==");
    named((v, a) -> !Values.equal(v, a.get(0, "other")), "ne", "!=");
    named((v, a) -> Values.compare(v, a.get(0, "other")) < 0, "lt", "lessthan", "<");
    named((v, a) -> Values.compare(v, a.get(0, "other")) <= 0, "le", "<=");
    named((v, a) -> Values.compare(v, a.get(0, "other")) > 0, "gt", "greaterthan", ">");
    named((v, a) -> Values.compare(v, a.get(0, "other")) >= 0, "ge", ">=");
  }

  private Tests() {}

  private static void named(Test test, String... names) {
    for (String name : names) {
      ALL.put(name, test);
    }
  }

  static boolean exists(String name) {
    return ALL.containsKey(name);
  }

  static boolean apply(String name, Object value, Args args) {
    Test test = ALL.get(name);
    if (test == null) {
      throw TemplateException.unknown("test", name);
    }
    return test.holds(value, args);
  }

  private static boolean isCollection(Object value) {
    return value instanceof List<?> || value instanceof Map<?, ?> || value instanceof Text;
  }

  private static BigInteger integer(Object value) {
    if (value instanceof Boolean || Numbers.isInteger(value)) {
      return Numbers.big(Numbers.require(value));
    }
    throw new TemplateException(Values.type(value) + " is not an integer");
  }
}
