package dev.kvdrive.text.template;

import java.time.Clock;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The functions that every chat template may call. */
final class Globals {

  /** As in jinja2's sandbox. */
  private static final long MAX_RANGE = 100_000;

  private static final Scope NAMES = new Scope(null);

  static {
    define(NAMES, Clock.systemUTC());
  }

  private Globals() {}

  static boolean exists(String name) {
    return NAMES.find(name) != null;
  }

  static void define(Scope scope, Clock clock) {
    function(scope, "range", Globals::range);
    function(scope, "namespace", Globals::namespace);
    function(
        scope,
        "dict",
        (rendering, args) -> {
          Map<Object, Object> dict = new LinkedHashMap<>();
          Object first = args.find(0, "");
          if (first instanceof Map<?, ?> map) {
            dict.putAll(map);
          } else if (first != null) {
            for (Object pair : Values.elements(first)) {
              List<?> entry = Values.elements(pair);
              if (entry.size() != 2) {
                throw new TemplateException("dict() needs pairs of a key and a value");
              }
              dict.put(entry.get(0), entry.get(1));
            }
          }
          args.named().forEach((name, value) -> dict.put(Text.template(name), value));
          return dict;
        });
    function(scope, "cycler", (rendering, args) -> new Cycler(args.positional()));
    function(
        scope,
        "joiner",
        (rendering, args) -> {
          Object separator = args.get(0, "sep", Text.template(", "));
          boolean[] used = new boolean[1];
          return (Callable)
              (again, none) -> {
                boolean first = !used[0];
                used[0] = true;
                return first ? Text.EMPTY : separator;
              };
        });
    function(
        scope,
        "raise_exception",
        (rendering, args) -> {
          throw new TemplateException(
              Values.string(args.get(0, "message"), 1000).toString(),
              TemplateException.Kind.RAISED);
        });
    function(
        scope,
        "strftime_now",
        (rendering, args) ->
            Text.template(format(args.text(0, "format").toString(), ZonedDateTime.now(clock))));
  }

  private static void function(Scope scope, String name, Callable callable) {
    scope.set(name, callable);
  }

  private static Object range(Rendering rendering, Args args) {
    int count = args.positional().size();
    long from = count > 1 ? args.integer(0, "start", 0) : 0;
    long to = args.integer(count > 1 ? 1 : 0, "stop", 0);
    long step = args.integer(2, "step", 1);
    if (step == 0) {
      throw new TemplateException("range() with a step of 0");
    }
    long size = step > 0 ? Math.ceilDiv(to - from, step) : Math.ceilDiv(from - to, -step);
    if (size > MAX_RANGE) {
      throw new TemplateException(
          "range() of " + size + " numbers, more than the limit of " + MAX_RANGE);
    }
    rendering.list(Math.max(0, size));
    List<Object> all = new ArrayList<>();
    for (long i = 0, value = from; i < size; i++, value += step) {
      all.add(value);
    }
    return all;
  }

  private static Object namespace(Rendering rendering, Args args) {
    Namespace namespace = new Namespace();
    if (args.find(0, "") instanceof Map<?, ?> first) {
      first.forEach((key, value) -> namespace.members.put(String.valueOf(key), value));
    }
    namespace.members.putAll(args.named());
    return namespace;
  }

  /** C's strftime, in English. */
  static String format(String pattern, ZonedDateTime now) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < pattern.length(); i++) {
      char c = pattern.charAt(i);
      if (c != '%' || i + 1 == pattern.length()) {
        out.append(c);
        continue;
      }
      char code = pattern.charAt(++i);
      boolean unpadded = code == '-' && i + 1 < pattern.length();
      if (unpadded) {
        code = pattern.charAt(++i);
      }
      String java =
          switch (code) {
            case 'a' -> "EEE";
            case 'A' -> "EEEE";
            case 'b', 'h' -> "MMM";
            case 'B' -> "MMMM";
            case 'd' -> unpadded ? "d" : "dd";
            case 'e' -> "ppd";
            case 'm' -> unpadded ? "M" : "MM";
            case 'y' -> "yy";
            case 'Y' -> "yyyy";
            case 'H' -> unpadded ? "H" : "HH";
            case 'I' -> unpadded ? "h" : "hh";
            case 'M' -> unpadded ? "m" : "mm";
            case 'S' -> unpadded ? "s" : "ss";
            case 'p' -> "a";
            case 'j' -> unpadded ? "D" : "DDD";
            case 'z' -> "xx";
            case 'Z' -> "zzz";
            case 'F' -> "yyyy-MM-dd";
            case 'T' -> "HH:mm:ss";
            case 'R' -> "HH:mm";
            case 'D' -> "MM/dd/yy";
            case '%' -> "'%'";
            default ->
                throw new TemplateException("strftime_now does not know the code '%" + code + "'");
          };
      out.append(now.format(DateTimeFormatter.ofPattern(java, Locale.ENGLISH)));
    }
    return out.toString();
  }
}
