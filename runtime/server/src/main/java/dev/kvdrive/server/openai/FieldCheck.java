package dev.kvdrive.server.openai;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.StringNode;

/** Checks of single fields; each failure is a 400 that names the field and the value seen. */
final class FieldCheck {
  private FieldCheck() {}

  private static final int MAX_SHOWN = 40;

  static double number(
      String name, @Nullable RealNumber number, double low, double high, double none) {
    if (number == null) {
      return none;
    }
    double value = number.value();
    if (!(value >= low && value <= high)) {
      throw outside(name, plain(low) + " and " + plain(high), number.text());
    }
    return value;
  }

  static int integer(String name, @Nullable WholeNumber number, int low, int high, int none) {
    return number == null ? none : (int) integer(name, number, low, high);
  }

  /** A whole number between {@code low} and {@code high}. */
  static long integer(String name, WholeNumber number, long low, long high) {
    return integer(name, number, low, high, "%d and %d".formatted(low, high));
  }

  /**
   * A whole number between {@code low} and {@code high}.
   *
   * @param range how messages call that: two numbers with an "and" between them
   */
  static long integer(String name, WholeNumber number, long low, long high, String range) {
    if (!number.isWhole()) {
      throw ApiException.invalid(
          name,
          "invalid_type",
          "Invalid type for '%s': expected an integer between %s, got %s."
              .formatted(name, range, shown(number.text())));
    }
    OptionalLong value = number.value();
    if (value.isEmpty() || value.getAsLong() < low || value.getAsLong() > high) {
      throw outside(name, range, number.text());
    }
    return value.getAsLong();
  }

  private static ApiException outside(String name, String range, String seen) {
    return ApiException.invalid(
        name,
        "invalid_value",
        "Invalid '%s': must be between %s, got %s.".formatted(name, range, shown(seen)));
  }

  /** What a client wrote, for a message. */
  static String shown(String text) {
    return text.length() <= MAX_SHOWN ? text : text.substring(0, MAX_SHOWN) + "...";
  }

  /** A field of the wrong JSON type, and what is there. */
  static ApiException type(String name, String expected, JsonNode seen) {
    return type(
        name,
        expected,
        switch (seen.getNodeType()) {
          case OBJECT -> "an object";
          case ARRAY -> "an array";
          case MISSING -> "nothing";
          default -> shown(seen.toString());
        });
  }

  /**
   * A value of the wrong JSON type, of which the parser has read the first token.
   *
   * @param name the field; empty for the body
   */
  static ApiException type(String name, String expected, JsonParser at) {
    JsonToken token = at.currentToken();
    return type(
        name,
        expected,
        switch (token) {
          case START_OBJECT, PROPERTY_NAME -> "an object";
          case START_ARRAY -> "an array";
          case VALUE_STRING -> shown(StringNode.valueOf(at.getString()).toString());
          case null -> "nothing";
          default -> shown(at.getString());
        });
  }

  private static ApiException type(String name, String expected, String got) {
    return ApiException.invalid(
        name.isEmpty() ? null : name,
        "invalid_type",
        "Invalid type for '%s': expected %s, got %s."
            .formatted(name.isEmpty() ? "body" : name, expected, got));
  }

  /** A field that is set to something that would change the answer. */
  static ApiException refused(String name, String why) {
    return ApiException.invalid(
        name, "unsupported_parameter", "'%s' is not supported: %s".formatted(name, why));
  }

  /** A token id of the vocabulary. */
  static int token(String name, JsonNode node, int vocabulary) {
    if (!node.isNumber() || !node.canConvertToExactIntegral()) {
      throw type(name, "a token id", node);
    }
    if (!node.canConvertToInt() || node.intValue() < 0 || node.intValue() >= vocabulary) {
      throw ApiException.invalid(
          name,
          "invalid_value",
          "Invalid '%s': token ids are 0 to %d, got %s."
              .formatted(name, vocabulary - 1, shown(node.asString())));
    }
    return node.intValue();
  }

  static List<Integer> tokens(String name, JsonNode array, int limit, int vocabulary) {
    if (!array.isArray()) {
      throw type(name, "an array of token ids", array);
    }
    atMost(name, array.size(), limit);
    List<Integer> ids = new ArrayList<>(array.size());
    for (int i = 0; i < array.size(); i++) {
      ids.add(token(name + "[" + i + "]", array.get(i), vocabulary));
    }
    return List.copyOf(ids);
  }

  static void atMost(String name, int seen, int limit) {
    if (seen > limit) {
      throw ApiException.invalid(
          name,
          "array_above_max_length",
          "Invalid '%s': at most %d entries, got %d.".formatted(name, limit, seen));
    }
  }

  private static String plain(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e15
        ? Long.toString((long) value)
        : Double.toString(value);
  }
}
