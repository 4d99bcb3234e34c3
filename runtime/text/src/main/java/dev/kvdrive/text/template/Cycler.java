package dev.kvdrive.text.template;

import java.util.List;

/** What {@code cycler(a, b)} makes: goes round its values. */
final class Cycler {

  private final List<Object> values;
  private int at;

  Cycler(List<Object> values) {
    if (values.isEmpty()) {
      throw new TemplateException("cycler needs values");
    }
    this.values = values;
  }

  Object attribute(String name) {
    return switch (name) {
      case "current" -> values.get(at);
      case "next" ->
          (Callable)
              (rendering, args) -> {
                Object value = values.get(at);
                at = (at + 1) % values.size();
                return value;
              };
      case "reset" ->
          (Callable)
              (rendering, args) -> {
                at = 0;
                return None.NONE;
              };
      default -> new Undefined("cycler." + name);
    };
  }
}
