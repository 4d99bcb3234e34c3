package dev.kvdrive.server.openai;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Checks of single fields; each failure is a 400 that names the field and the value seen. */
final class FieldCheck {
  private FieldCheck() {}

  static double number(String name, @Nullable Double value, double low, double high, double none) {
    if (value == null) {
      return none;
    }
    if (!(value >= low && value <= high)) {
      throw ApiException.invalid(
          name,
          "invalid_value",
          "Invalid '%s': must be between %s and %s, got %s."
              .formatted(name, plain(low), plain(high), plain(value)));
    }
    return value;
  }

  static int integer(String name, @Nullable Long value, long low, long high, int none) {
    if (value == null) {
      return none;
    }
    if (value < low || value > high) {
      throw ApiException.invalid(
          name,
          "invalid_value",
          "Invalid '%s': must be between %d and %d, got %d.".formatted(name, low, high, value));
    }
    return Math.toIntExact(value);
  }

  /** A field of the wrong JSON type. */
  static ApiException type(String name, String expected) {
    return ApiException.invalid(
        name, "invalid_type", "Invalid type for '%s': expected %s.".formatted(name, expected));
  }

  /** A field that is set to something that would change the answer. */
  static ApiException refused(String name, String why) {
    return ApiException.invalid(
        name, "unsupported_parameter", "'%s' is not supported: %s".formatted(name, why));
  }

  /** A token id of the vocabulary. */
  static int token(String name, JsonNode node, int vocabulary) {
    if (!node.isNumber() || !node.canConvertToExactIntegral()) {
      throw type(name, "a token id");
    }
    if (!node.canConvertToInt() || node.intValue() < 0 || node.intValue() >= vocabulary) {
      throw ApiException.invalid(
          name,
          "invalid_value",
          "Invalid '%s': token ids are 0 to %d, got %s."
              .formatted(name, vocabulary - 1, node.asString()));
    }
    return node.intValue();
  }

  static List<Integer> tokens(String name, JsonNode array, int limit, int vocabulary) {
    if (!array.isArray()) {
      throw type(name, "an array of token ids");
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
