package dev.kvdrive.text.template;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** The filters behind a bar, as jinja2 defines them and transformers replaces {@code tojson}. */
final class Filters {

  private interface Filter {
    Object apply(Rendering rendering, Object value, Args args);
  }

  private static final Map<String, Filter> ALL = new HashMap<>();

  /** Prefixes of sizes from a thousand on. */
  private static final String SIZES = "kMGTPEZY";

  private static final Pattern FLOAT =
      Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");
  private static final Map<String, Double> NAMED =
      Map.of(
          "inf", Double.POSITIVE_INFINITY,
          "infinity", Double.POSITIVE_INFINITY,
          "-inf", Double.NEGATIVE_INFINITY,
          "nan", Double.NaN);

  /** A group of {@code groupby}, whose parts can be read by name, too. */
  static final class Group extends Tuple {
    Group(Object grouper, List<Object> members) {
      super(List.of(grouper, members));
    }
  }

  static {
    // Texts
    named((r, v, a) -> r.made(trim(r, v, a)), "trim");
    named((r, v, a) -> r.made(Methods.map(r.string(v), s -> s.toLowerCase(Locale.ROOT))), "lower");
    named((r, v, a) -> r.made(Methods.map(r.string(v), s -> s.toUpperCase(Locale.ROOT))), "upper");
    named((r, v, a) -> r.made(Methods.capitalize(r.string(v))), "capitalize");
    named((r, v, a) -> r.made(Methods.map(r.string(v), Filters::title)), "title");
    named((r, v, a) -> r.string(v), "string", "safe");
    named((r, v, a) -> r.made(escape(r.string(v))), "escape", "e", "forceescape");
    named((r, v, a) -> PercentFormat.filter(r, r.string(v), a), "format");
    named((r, v, a) -> indent(r, r.string(v), a), "indent");
    named(
        (r, v, a) ->
            Methods.replace(
                r, r.string(v), a.text(0, "old"), a.text(1, "new"), count(a.find(2, "count"))),
        "replace");
    named((r, v, a) -> Methods.center(r, r.string(v), a.integer(0, "width", 80), " "), "center");
    named((r, v, a) -> truncate(r, r.string(v), a), "truncate");
    named((r, v, a) -> wordCount(r.string(v)), "wordcount");
    named((r, v, a) -> r.made(Methods.map(r.string(v), Filters::urlEncode)), "urlencode");
    named((r, v, a) -> r.made(Layout.wrap(r, r.string(v), a)), "wordwrap");
    named((r, v, a) -> r.made(Methods.map(r.string(v), Layout::withoutTags)), "striptags");
    named((r, v, a) -> r.made(Layout.pretty(v, r.maxChars())), "pprint");
    named((r, v, a) -> attributes(r, v, a), "xmlattr");
    named(Filters::json, "tojson");
    // Numbers
    named((r, v, a) -> Numbers.abs(v), "abs");
    named((r, v, a) -> fileSize(v, a), "filesizeformat");
    named((r, v, a) -> integer(v, a), "int");
    named((r, v, a) -> decimal(v, a), "float");
    named((r, v, a) -> round(v, a), "round");
    // Collections
    named((r, v, a) -> Values.length(v), "length", "count");
    named((r, v, a) -> end(v, true), "first");
    named((r, v, a) -> end(v, false), "last");
    named((r, v, a) -> reverse(r, v), "reverse");
    named((r, v, a) -> copy(r, Values.elements(v)), "list");
    named((r, v, a) -> join(r, v, a), "join");
    named((r, v, a) -> sort(r, v, a), "sort");
    named((r, v, a) -> unique(r, v, a), "unique");
    named((r, v, a) -> extreme(r, v, a, true), "max");
    named((r, v, a) -> extreme(r, v, a, false), "min");
    named((r, v, a) -> sum(r, v, a), "sum");
    named((r, v, a) -> batch(r, v, a), "batch");
    named((r, v, a) -> slice(r, v, a), "slice");
    named((r, v, a) -> groupBy(r, v, a), "groupby");
    named((r, v, a) -> dictSort(r, v, a), "dictsort");
    named(
        (r, v, a) ->
            v instanceof Undefined
                ? List.of()
                : v instanceof Map<?, ?> map
                    ? Methods.items(r, map)
                    : fail("items needs a mapping, not " + Values.type(v)),
        "items");
    named((r, v, a) -> map(r, v, a), "map");
    named((r, v, a) -> select(r, v, a, false, true), "select");
    named((r, v, a) -> select(r, v, a, false, false), "reject");
    named((r, v, a) -> select(r, v, a, true, true), "selectattr");
    named((r, v, a) -> select(r, v, a, true, false), "rejectattr");
    named((r, v, a) -> r.attribute(v, a.text(0, "name").toString()), "attr");
    named(
        (r, v, a) -> {
          boolean absent =
              v instanceof Undefined || (a.flag(1, "boolean", false) && !Values.truth(v));
          return absent ? a.get(0, "default_value", Text.EMPTY) : v;
        },
        "default",
        "d");
  }

  private Filters() {}

  private static void named(Filter filter, String... names) {
    for (String name : names) {
      ALL.put(name, filter);
    }
  }

  static boolean exists(String name) {
    return ALL.containsKey(name);
  }

  static Object apply(Rendering rendering, String name, Object value, Args args) {
    Filter filter = ALL.get(name);
    if (filter == null) {
      throw TemplateException.unknown("filter", name);
    }
    return filter.apply(rendering, value, args);
  }

  private static Object fail(String message) {
    throw new TemplateException(message);
  }

  // Texts

  private static Text trim(Rendering rendering, Object value, Args args) {
    Object characters = args.find(0, "chars");
    return Methods.strip(
        rendering.string(value), characters instanceof Text text ? text : null, true, true);
  }

  private static String title(String text) {
    StringBuilder out = new StringBuilder(text.length());
    boolean start = true;
    for (int at = 0; at < text.length(); ) {
      int c = text.codePointAt(at);
      out.appendCodePoint(start ? Character.toUpperCase(c) : Character.toLowerCase(c));
      start = Lexer.isSpace(c) || "-({[<".indexOf(c) >= 0;
      at += Character.charCount(c);
    }
    return out.toString();
  }

  private static Text escape(Text text) {
    return Methods.map(
        text,
        s ->
            s.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("'", "&#39;")
                .replace("\"", "&#34;"));
  }

  private static Text attributes(Rendering rendering, Object value, Args args) {
    if (!(value instanceof Map<?, ?> map)) {
      throw new TemplateException("xmlattr needs a mapping, not " + Values.type(value));
    }
    Text.Builder out = new Text.Builder(rendering.maxChars());
    map.forEach(
        (name, attribute) -> {
          if (attribute == None.NONE || attribute instanceof Undefined) {
            return;
          }
          if (out.length() > 0 || args.flag(0, "autospace", true)) {
            out.template(" ");
          }
          out.append(escape(rendering.string(name))).template("=\"");
          out.append(escape(rendering.string(attribute))).template("\"");
        });
    return rendering.made(out.build());
  }

  private static Text indent(Rendering rendering, Text text, Args args) {
    Object width = args.get(0, "width", 4L);
    Text by =
        width instanceof Text given
            ? given
            : Text.template(" ".repeat(Math.clamp(args.integer(0, "width", 4), 0, 1000)));
    boolean first = args.flag(1, "first", false);
    boolean blank = args.flag(2, "blank", false);
    List<Object> lines = Methods.lines(rendering, text.plus(Text.template("\n")), false);
    Text.Builder out = new Text.Builder(rendering.maxChars());
    for (int i = 0; i < lines.size(); i++) {
      Text line = (Text) lines.get(i);
      if (i > 0) {
        out.template("\n");
      }
      if (i == 0 ? first : blank || !line.isEmpty()) {
        out.append(by);
      }
      out.append(line);
    }
    return rendering.made(out.build());
  }

  private static long count(@Nullable Object value) {
    return value instanceof Long number ? number : -1;
  }

  private static Text truncate(Rendering rendering, Text text, Args args) {
    long length = Math.clamp(args.integer(0, "length", 255), 0, Integer.MAX_VALUE);
    Text end = args.text(2, "end", Text.template("..."));
    long leeway = Math.clamp(args.integer(3, "leeway", 5), 0, Integer.MAX_VALUE);
    if (Values.length(text) <= length + leeway) {
      return text;
    }
    int keep = (int) Math.max(0, length - Values.length(end));
    int cut = text.toString().offsetByCodePoints(0, keep);
    if (!args.flag(1, "killwords", false)) {
      int space = text.toString().lastIndexOf(' ', cut - 1);
      cut = space >= 0 ? space : cut;
    }
    return rendering.made(text.sub(0, cut).plus(end));
  }

  private static long wordCount(Text text) {
    long words = 0;
    boolean inside = false;
    for (int i = 0; i < text.length(); i++) {
      char c = text.toString().charAt(i);
      boolean word = Character.isLetterOrDigit(c) || c == '_';
      words += word && !inside ? 1 : 0;
      inside = word;
    }
    return words;
  }

  private static String urlEncode(String text) {
    StringBuilder out = new StringBuilder(text.length());
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      char c = (char) (b & 0xff);
      boolean safe =
          (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9')
              || "/_.-~".indexOf(c) >= 0;
      out.append(safe ? String.valueOf(c) : String.format("%%%02X", (int) c));
    }
    return out.toString();
  }

  private static Object json(Rendering rendering, Object value, Args args) {
    Object indent = args.find(1, "indent");
    String by =
        switch (indent) {
          case Long width -> " ".repeat(Math.clamp(width, 0, 1000));
          case Text text -> text.toString();
          case null, default -> null;
        };
    String comma = by == null ? ", " : ",";
    String colon = ": ";
    if (args.find(2, "separators") instanceof List<?> separators && separators.size() == 2) {
      comma = separators.get(0).toString();
      colon = separators.get(1).toString();
    }
    Text written =
        Values.json(
            value,
            args.flag(0, "ensure_ascii", false),
            by,
            comma,
            colon,
            args.flag(3, "sort_keys", false),
            rendering.maxChars());
    return rendering.made(written);
  }

  // Numbers

  private static Object integer(Object value, Args args) {
    Object absent = args.get(0, "default", 0L);
    return switch (value) {
      case Long number -> number;
      case BigInteger number -> number;
      case Double number when Double.isFinite(number) -> Numbers.truncated(number);
      case Boolean flag -> flag ? 1L : 0L;
      case Text text -> {
        int base = Math.clamp(args.integer(1, "base", 10), 0, 36);
        Object read = Numbers.parse(text.toString(), base);
        if (read == null && decimal(text) instanceof Double number && Double.isFinite(number)) {
          read = Numbers.truncated(number);
        }
        yield read == null ? absent : read;
      }
      default -> absent;
    };
  }

  private static Object fileSize(Object value, Args args) {
    if (!(decimal(value) instanceof Double bytes)) {
      return fail("filesizeformat needs a number, not " + Values.type(value));
    }
    boolean binary = args.flag(0, "binary", false);
    double base = binary ? 1024 : 1000;
    if (bytes == 1) {
      return Text.template("1 Byte");
    }
    if (bytes < base) {
      return Text.template((long) (double) bytes + " Bytes");
    }
    double unit = base;
    int prefix = 0;
    while (prefix < SIZES.length() - 1 && bytes >= unit * base) {
      unit *= base;
      prefix++;
    }
    String letter = String.valueOf(SIZES.charAt(prefix));
    return Text.template(
        NumberFormat.decimal(bytes / unit, 'f', 1, false)
            + " "
            + (binary ? letter.toUpperCase(Locale.ROOT) + "i" : letter)
            + "B");
  }

  private static Object decimal(Object value, Args args) {
    Object read = decimal(value);
    return read == null ? args.get(0, "default", 0.0) : read;
  }

  /** The value as a float; null where it is none. */
  private static @Nullable Object decimal(Object value) {
    return switch (value) {
      case Double number -> number;
      case Long number -> number.doubleValue();
      case BigInteger number -> Numbers.decimal(number);
      case Boolean flag -> flag ? 1.0 : 0.0;
      case Text text -> {
        String digits = text.toString().strip().replace("_", "");
        // Java knows a letter for the type behind a number and hexadecimal floats, Python does not.
        if (!FLOAT.matcher(digits).matches()) {
          yield NAMED.get(digits.toLowerCase(Locale.ROOT));
        }
        yield Double.valueOf(digits);
      }
      default -> null;
    };
  }

  private static Object round(Object value, Args args) {
    Object given = Numbers.require(value);
    double number = Numbers.decimal(given);
    int precision = Math.clamp(args.integer(0, "precision", 0), -300, 300);
    RoundingMode mode =
        switch (args.text(1, "method", Text.template("common")).toString()) {
          case "ceil" -> RoundingMode.CEILING;
          case "floor" -> RoundingMode.FLOOR;
          case "common" -> RoundingMode.HALF_EVEN;
          default -> throw new TemplateException("round knows common, ceil and floor");
        };
    if (!Double.isFinite(number)) {
      return number;
    }
    if (Numbers.isInteger(given) && mode == RoundingMode.HALF_EVEN) {
      return Numbers.integer(
          new BigDecimal(Numbers.big(given)).setScale(Math.min(0, precision), mode).toBigInteger());
    }
    return new BigDecimal(number).setScale(precision, mode).doubleValue();
  }

  // Collections

  private static Object end(Object value, boolean first) {
    List<?> elements = Values.elements(value);
    if (elements.isEmpty()) {
      return new Undefined("an element of an empty list");
    }
    return first ? elements.getFirst() : elements.getLast();
  }

  private static List<Object> copy(Rendering rendering, List<?> list) {
    rendering.list(list.size());
    return new ArrayList<>(list);
  }

  private static Object reverse(Rendering rendering, Object value) {
    List<Object> copy = copy(rendering, Values.elements(value));
    Collections.reverse(copy);
    return value instanceof Text ? Methods.join(rendering, Text.EMPTY, copy) : copy;
  }

  /** The value of an attribute such as {@code function.name} or {@code 0}. */
  private static Object lookUp(
      Rendering rendering, Object value, Object path, @Nullable Object absent) {
    if (path instanceof Long) {
      return rendering.item(value, path);
    }
    Object found = value;
    for (String part : path.toString().split("\\.", -1)) {
      boolean index =
          !part.isEmpty() && part.length() < 10 && part.chars().allMatch(Character::isDigit);
      found = rendering.item(found, index ? (Object) Long.valueOf(part) : Text.template(part));
      found = found instanceof Undefined && absent != null ? absent : found;
    }
    return found;
  }

  private static List<Object> lookUpAll(
      Rendering rendering, List<?> values, @Nullable Object path) {
    List<Object> all = copy(rendering, values);
    if (path != null && path != None.NONE) {
      all.replaceAll(value -> lookUp(rendering, value, path, null));
    }
    return all;
  }

  private static Object join(Rendering rendering, Object value, Args args) {
    List<Object> values = lookUpAll(rendering, Values.elements(value), args.find(1, "attribute"));
    return Methods.join(rendering, args.text(0, "d", Text.EMPTY), values);
  }

  private static Comparator<Object> order(Rendering rendering, Args args, int position) {
    boolean caseSensitive = args.flag(position, "case_sensitive", false);
    Object attribute = args.find(position + 1, "attribute");
    return (left, right) ->
        Values.compare(
            key(rendering, left, attribute, caseSensitive),
            key(rendering, right, attribute, caseSensitive));
  }

  private static Object key(
      Rendering rendering, Object value, @Nullable Object attribute, boolean caseSensitive) {
    Object key =
        attribute == null || attribute == None.NONE
            ? value
            : lookUp(rendering, value, attribute, null);
    return key instanceof Text text && !caseSensitive
        ? Methods.map(text, s -> s.toLowerCase(Locale.ROOT))
        : key;
  }

  private static Object sort(Rendering rendering, Object value, Args args) {
    List<Object> sorted = copy(rendering, Values.elements(value));
    rendering.list(sorted.size() * 8L);
    Comparator<Object> order = order(rendering, args, 1);
    sorted.sort(args.flag(0, "reverse", false) ? order.reversed() : order);
    return sorted;
  }

  private static Object unique(Rendering rendering, Object value, Args args) {
    boolean caseSensitive = args.flag(0, "case_sensitive", false);
    Object attribute = args.find(1, "attribute");
    Map<Object, Object> seen = new LinkedHashMap<>();
    for (Object element : copy(rendering, Values.elements(value))) {
      seen.putIfAbsent(key(rendering, element, attribute, caseSensitive), element);
    }
    return new ArrayList<>(seen.values());
  }

  private static Object extreme(Rendering rendering, Object value, Args args, boolean largest) {
    List<Object> values = copy(rendering, Values.elements(value));
    Comparator<Object> order = order(rendering, args, 0);
    Object best = null;
    for (Object element : values) {
      if (best == null
          || (largest ? order.compare(element, best) > 0 : order.compare(element, best) < 0)) {
        best = element;
      }
    }
    return best == null ? new Undefined("an element of an empty list") : best;
  }

  private static Object sum(Rendering rendering, Object value, Args args) {
    Object total = args.get(1, "start", 0L);
    for (Object element : lookUpAll(rendering, Values.elements(value), args.find(0, "attribute"))) {
      total = Numbers.apply(rendering, "+", total, element);
    }
    return total;
  }

  private static Object batch(Rendering rendering, Object value, Args args) {
    long size = args.integer(0, "linecount", 0);
    if (size < 1 || size > 1 << 20) {
      throw new TemplateException("batch needs a size from 1, not " + size);
    }
    Object fill = args.find(1, "fill_with");
    List<Object> elements = copy(rendering, Values.elements(value));
    List<Object> batches = new ArrayList<>();
    for (int at = 0; at < elements.size(); at += (int) size) {
      int to = (int) Math.min(elements.size(), at + size);
      List<Object> batch = new ArrayList<>(elements.subList(at, to));
      rendering.list(size);
      while (fill != null && fill != None.NONE && batch.size() < size) {
        batch.add(fill);
      }
      batches.add(batch);
    }
    return batches;
  }

  private static Object slice(Rendering rendering, Object value, Args args) {
    int slices = Math.clamp(args.integer(0, "slices", 0), -1, 1 << 24);
    if (slices < 1 || slices > 1 << 20) {
      throw new TemplateException("slice needs a number of slices from 1 to 2^20");
    }
    Object fill = args.find(1, "fill_with");
    List<Object> elements = copy(rendering, Values.elements(value));
    rendering.list(slices);
    int each = elements.size() / slices;
    int longer = elements.size() % slices;
    List<Object> all = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < slices; i++) {
      int to = from + each + (i < longer ? 1 : 0);
      List<Object> slice = new ArrayList<>(elements.subList(from, to));
      if (fill != null && fill != None.NONE && i >= longer) {
        slice.add(fill);
      }
      all.add(slice);
      from = to;
    }
    return all;
  }

  private static Object groupBy(Rendering rendering, Object value, Args args) {
    Object attribute = args.get(0, "attribute");
    List<Object> sorted = copy(rendering, Values.elements(value));
    rendering.list(sorted.size() * 8L);
    sorted.sort(
        (left, right) ->
            Values.compare(
                key(rendering, left, attribute, false), key(rendering, right, attribute, false)));
    List<Object> groups = new ArrayList<>();
    Object current = null;
    List<Object> members = new ArrayList<>();
    for (Object element : sorted) {
      Object key = key(rendering, element, attribute, false);
      if (current == null || !Values.equal(current, key)) {
        current = key;
        members = new ArrayList<>();
        groups.add(new Group(lookUp(rendering, element, attribute, null), members));
      }
      members.add(element);
    }
    return groups;
  }

  private static Object dictSort(Rendering rendering, Object value, Args args) {
    if (!(value instanceof Map<?, ?> map)) {
      return fail("dictsort needs a mapping, not " + Values.type(value));
    }
    boolean caseSensitive = args.flag(0, "case_sensitive", false);
    boolean byValue = args.text(1, "by", Text.template("key")).toString().equals("value");
    List<Object> items = Methods.items(rendering, map);
    Comparator<Object> order =
        (left, right) ->
            Values.compare(
                key(rendering, left, byValue ? 1L : 0L, caseSensitive),
                key(rendering, right, byValue ? 1L : 0L, caseSensitive));
    items.sort(args.flag(2, "reverse", false) ? order.reversed() : order);
    return items;
  }

  /** The elements of what may be nothing: these filters take none, false and 0 as empty. */
  private static List<?> anyElements(Object value) {
    return Values.truth(value) ? Values.elements(value) : List.of();
  }

  private static Object map(Rendering rendering, Object value, Args args) {
    List<Object> values = copy(rendering, anyElements(value));
    Object attribute = args.named().get("attribute");
    if (attribute != null) {
      Object absent = args.named().get("default");
      values.replaceAll(element -> lookUp(rendering, element, attribute, absent));
      return values;
    }
    String filter = args.text(0, "filter").toString();
    Args rest = args.from(1, filter);
    values.replaceAll(element -> apply(rendering, filter, element, rest));
    return values;
  }

  private static Object select(
      Rendering rendering, Object value, Args args, boolean byAttribute, boolean keep) {
    int first = byAttribute ? 1 : 0;
    Predicate<Object> test;
    Object name = args.find(first, "test");
    if (name == null) {
      test = Values::truth;
    } else {
      String spelled = name.toString();
      Args rest = args.from(first + 1, spelled);
      test = element -> Tests.apply(spelled, element, rest);
    }
    Object attribute = byAttribute ? args.get(0, "attribute") : None.NONE;
    List<Object> kept = new ArrayList<>();
    for (Object element : copy(rendering, anyElements(value))) {
      Object subject = byAttribute ? lookUp(rendering, element, attribute, null) : element;
      if (test.test(subject) == keep) {
        kept.add(element);
      }
    }
    return kept;
  }
}
