package dev.kvdrive.text.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** The {@code loop} variable. */
final class Loop {

  private final List<?> items;
  private final int depth;
  private final @Nullable Callable recurse;
  private @Nullable List<Object> lastChanged;
  int index;

  Loop(List<?> items, int depth, @Nullable Callable recurse) {
    this.items = items;
    this.depth = depth;
    this.recurse = recurse;
  }

  int depth() {
    return depth;
  }

  @Nullable Callable recurse() {
    return recurse;
  }

  Object attribute(String name) {
    int size = items.size();
    return switch (name) {
      case "index" -> (long) index + 1;
      case "index0" -> (long) index;
      case "revindex" -> (long) size - index;
      case "revindex0" -> (long) size - index - 1;
      case "first" -> index == 0;
      case "last" -> index == size - 1;
      case "length" -> (long) size;
      case "depth" -> (long) depth;
      case "depth0" -> (long) depth - 1;
      case "previtem" -> index > 0 ? items.get(index - 1) : new Undefined("loop.previtem");
      case "nextitem" -> index + 1 < size ? items.get(index + 1) : new Undefined("loop.nextitem");
      case "cycle" ->
          (Callable)
              (rendering, args) -> {
                if (args.positional().isEmpty()) {
                  throw new TemplateException("loop.cycle needs values");
                }
                return args.positional().get(index % args.positional().size());
              };
      case "changed" ->
          (Callable)
              (rendering, args) -> {
                List<Object> before = lastChanged;
                lastChanged = args.positional();
                return before == null || !Values.equal(before, args.positional());
              };
      default -> new Undefined("loop." + name);
    };
  }
}
