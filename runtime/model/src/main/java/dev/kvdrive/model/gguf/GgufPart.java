package dev.kvdrive.model.gguf;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the name of a part of a split model says: {@code STEM-00002-of-00005.gguf}.
 *
 * @param stem what all parts have before the numbers, folders included
 * @param number from 1
 * @param count of all parts
 */
public record GgufPart(String stem, int number, int count) {
  /** More parts than any model has. */
  static final int MAX_PARTS = 1024;

  private static final Pattern FORM = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})\\.gguf");

  /** The part that a file of this name is, empty if it is none. */
  public static Optional<GgufPart> of(String name) {
    Matcher m = FORM.matcher(name);
    if (!m.matches()) {
      return Optional.empty();
    }
    GgufPart part =
        new GgufPart(m.group(1), Integer.parseInt(m.group(2)), Integer.parseInt(m.group(3)));
    return part.number >= 1 && part.number <= part.count && part.count <= MAX_PARTS
        ? Optional.of(part)
        : Optional.empty();
  }

  /** The names of all parts of the model that a file of this name is a part of, or just it. */
  public static List<String> all(String name) {
    return of(name).map(GgufPart::names).orElse(List.of(name));
  }

  /**
   * One name for each model among files: of a split one the first part that is there.
   *
   * @param names of GGUF files
   */
  public static List<String> models(List<String> names) {
    Map<String, String> first = new LinkedHashMap<>();
    for (String name : names.stream().sorted().toList()) {
      first.putIfAbsent(all(name).getFirst(), name);
    }
    return List.copyOf(first.values());
  }

  /** The names of all parts, in order. */
  public List<String> names() {
    List<String> names = new ArrayList<>(count);
    for (int i = 1; i <= count; i++) {
      names.add("%s-%05d-of-%05d.gguf".formatted(stem, i, count));
    }
    return names;
  }
}
