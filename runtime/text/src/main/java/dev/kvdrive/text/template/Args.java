package dev.kvdrive.text.template;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Evaluated arguments.
 *
 * @param callee for messages
 */
record Args(String callee, List<Object> positional, Map<String, Object> named) {

  boolean isEmpty() {
    return positional.isEmpty() && named.isEmpty();
  }

  /** The argument at a position or of a name; null when it was not given. */
  @Nullable Object find(int position, String name) {
    if (position < positional.size()) {
      return positional.get(position);
    }
    return named.get(name);
  }

  Object get(int position, String name) {
    Object value = find(position, name);
    if (value == null) {
      throw new TemplateException(callee + " needs the argument '" + name + "'");
    }
    return value;
  }

  Object get(int position, String name, Object absent) {
    Object value = find(position, name);
    return value == null ? absent : value;
  }

  Text text(int position, String name) {
    return text(get(position, name), name);
  }

  Text text(int position, String name, Text absent) {
    return text(get(position, name, absent), name);
  }

  private Text text(Object value, String name) {
    if (value instanceof Text text) {
      return text;
    }
    throw new TemplateException(
        callee + ": the argument '" + name + "' must be a string but is " + Values.type(value));
  }

  long integer(int position, String name, long absent) {
    Object value = get(position, name, absent);
    if (value instanceof Long number) {
      return number;
    }
    if (value instanceof Boolean flag) {
      return flag ? 1 : 0;
    }
    throw new TemplateException(
        callee + ": the argument '" + name + "' must be an integer but is " + Values.type(value));
  }

  boolean flag(int position, String name, boolean absent) {
    return Values.truth(get(position, name, absent));
  }

  /** These arguments without the first positional ones. */
  Args from(int start, String other) {
    return new Args(
        other, positional.subList(Math.min(start, positional.size()), positional.size()), named);
  }
}
