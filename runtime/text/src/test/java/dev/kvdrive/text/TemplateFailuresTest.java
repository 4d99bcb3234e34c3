package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.text.template.Template;
import dev.kvdrive.text.template.TemplateException;
import dev.kvdrive.text.template.TemplateLimits;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Whatever a template does to whatever value, it gets an answer or an error in words. */
class TemplateFailuresTest {

  private static final TemplateLimits SMALL = new TemplateLimits(1 << 16, 1 << 20, 200_000, 200);

  private static final List<String> VALUES =
      List.of(
          "missing",
          "none",
          "true",
          "0",
          "-1",
          "9223372036854775807",
          "-9223372036854775807 - 1",
          "2 ** 70",
          "1.5",
          "1e308 * 10",
          "''",
          "'ab \\u00e9\\U0001F600'",
          "[]",
          "[1, 'a', none]",
          "['b', 'a']",
          "[missing]",
          "(1, 2)",
          "{}",
          "{'a': 1, 1: 'a'}",
          "range",
          "loopless",
          "namespace(a=1)",
          "cycler(1)",
          "joiner()",
          "f",
          "messages",
          "messages[0]");

  private static final List<String> FILTERS =
      List.of(
          "abs",
          "attr",
          "batch",
          "capitalize",
          "center",
          "count",
          "d",
          "default",
          "dictsort",
          "e",
          "escape",
          "filesizeformat",
          "first",
          "float",
          "forceescape",
          "format",
          "groupby",
          "indent",
          "int",
          "items",
          "join",
          "last",
          "length",
          "list",
          "lower",
          "map",
          "max",
          "min",
          "pprint",
          "reject",
          "rejectattr",
          "replace",
          "reverse",
          "round",
          "safe",
          "select",
          "selectattr",
          "slice",
          "sort",
          "string",
          "striptags",
          "sum",
          "title",
          "tojson",
          "trim",
          "truncate",
          "unique",
          "upper",
          "urlencode",
          "wordcount",
          "wordwrap",
          "xmlattr");

  private static final List<String> TESTS =
      List.of(
          "boolean",
          "callable",
          "defined",
          "divisibleby",
          "eq",
          "escaped",
          "even",
          "false",
          "filter",
          "float",
          "ge",
          "gt",
          "in",
          "integer",
          "iterable",
          "le",
          "lower",
          "lt",
          "mapping",
          "ne",
          "none",
          "number",
          "odd",
          "sameas",
          "sequence",
          "string",
          "test",
          "true",
          "undefined",
          "upper");

  private static final List<String> METHODS =
      List.of(
          "append",
          "capitalize",
          "center",
          "copy",
          "count",
          "current",
          "encode",
          "endswith",
          "expandtabs",
          "find",
          "format",
          "get",
          "index",
          "isalnum",
          "isalpha",
          "isdigit",
          "islower",
          "isspace",
          "isupper",
          "items",
          "join",
          "keys",
          "ljust",
          "lower",
          "lstrip",
          "next",
          "partition",
          "pop",
          "replace",
          "reset",
          "rfind",
          "rjust",
          "rpartition",
          "rsplit",
          "rstrip",
          "split",
          "splitlines",
          "startswith",
          "strip",
          "swapcase",
          "title",
          "update",
          "upper",
          "values",
          "zfill");

  private static final List<String> FUNCTIONS =
      List.of("range", "namespace", "dict", "cycler", "joiner", "strftime_now", "f");

  private static final List<String> OPERATORS =
      List.of("+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and");

  @Test
  void everyFilterTestMethodFunctionAndOperatorOnEveryKindOfValue() {
    List<String> arguments = new ArrayList<>(List.of(""));
    for (String value : List.of("missing", "-1", "9223372036854775807", "'a'", "['a']")) {
      arguments.add("(" + value + ")");
      arguments.add("(" + value + ", " + value + ")");
    }
    arguments.add("(1, 1, 1, 1, 1)");
    arguments.add("('a', 'a', 'a', 'a')");
    List<String> unforeseen = new ArrayList<>();
    for (String argument : arguments) {
      String called = argument.isEmpty() ? "()" : argument;
      FUNCTIONS.forEach(name -> render(name + called, unforeseen));
      for (String value : VALUES) {
        String target = "(" + value + ")";
        FILTERS.forEach(name -> render(target + "|" + name + argument, unforeseen));
        TESTS.forEach(name -> render(target + " is " + name + argument, unforeseen));
        METHODS.forEach(name -> render(target + "." + name + called, unforeseen));
        render(target + "[" + (argument.isEmpty() ? ":" : argument) + "]", unforeseen);
        render(target + "[" + argument + ":" + argument + ":" + argument + "]", unforeseen);
        if (!argument.isEmpty()) {
          OPERATORS.forEach(name -> render(target + name + " " + argument, unforeseen));
        }
      }
    }
    assertThat(unforeseen).isEmpty();
  }

  private static void render(String expression, List<String> unforeseen) {
    String source =
        "{% macro f(x) %}{{ x }}{% endmacro %}{% set messages = messages %}{{ "
            + expression
            + " }}";
    try {
      Template.compile(source, SMALL, Clock.systemUTC())
          .render(Map.of(), Map.of("messages", List.of(Map.of("role", "user", "content", "a b"))));
    } catch (TemplateException e) {
      if (e.getCause() != null) {
        unforeseen.add(expression + " -> " + e.getCause());
      }
    } catch (RuntimeException e) {
      unforeseen.add(expression + " -> " + e);
    }
  }

  @Test
  void aFailureNobodyForesawIsStillTheTemplates() {
    Map<String, Object> hostile = Map.of("value", new UnusualList());
    Template template = Template.compile("{{ value | length }}", SMALL, Clock.systemUTC());
    assertThatThrownBy(() -> template.render(Map.of(), hostile))
        .isInstanceOf(TemplateException.class)
        .hasMessageContaining("not supported")
        .hasRootCauseInstanceOf(UnsupportedOperationException.class);
  }

  private static final class UnusualList extends java.util.AbstractList<Object> {
    @Override
    public Object get(int index) {
      throw new UnsupportedOperationException("server internals");
    }

    @Override
    public int size() {
      return 1;
    }
  }
}
