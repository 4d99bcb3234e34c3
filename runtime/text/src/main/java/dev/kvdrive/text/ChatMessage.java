package dev.kvdrive.text;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One message of a conversation with the fields that a chat template may read: {@code role}, {@code
 * content} (text or a list of parts), {@code tool_calls}, {@code name}, ... Values are those of
 * JSON: String, Boolean, Number, null, List and Map with String keys. Deeply immutable.
 */
public record ChatMessage(Map<String, @Nullable Object> fields) {

  public ChatMessage {
    if (!(fields.get("role") instanceof String)) {
      throw new IllegalArgumentException(
          "a chat message needs a 'role' that is text, but it is " + fields.get("role"));
    }
    fields = copy(fields);
  }

  public static ChatMessage of(String role, String content) {
    Map<String, @Nullable Object> fields = new LinkedHashMap<>();
    fields.put("role", role);
    fields.put("content", content);
    return new ChatMessage(fields);
  }

  /** This message with one more field. */
  public ChatMessage with(String field, @Nullable Object value) {
    Map<String, @Nullable Object> more = new LinkedHashMap<>(fields);
    more.put(field, value);
    return new ChatMessage(more);
  }

  public String role() {
    return (String) fields.getOrDefault("role", "");
  }

  private static Map<String, @Nullable Object> copy(Map<?, ?> map) {
    Map<String, @Nullable Object> copy = new LinkedHashMap<>();
    map.forEach((key, value) -> copy.put(String.valueOf(key), copyValue(value)));
    return Collections.unmodifiableMap(copy);
  }

  private static @Nullable Object copyValue(@Nullable Object value) {
    if (value instanceof Map<?, ?> map) {
      return copy(map);
    }
    if (value instanceof List<?> list) {
      List<@Nullable Object> copy = new ArrayList<>(list.size());
      list.forEach(item -> copy.add(copyValue(item)));
      return Collections.unmodifiableList(copy);
    }
    return value;
  }
}
