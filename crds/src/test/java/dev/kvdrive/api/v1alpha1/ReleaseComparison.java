package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Compares custom resource definitions, and a chart's values, with those of a release. */
final class ReleaseComparison {
  /** What kubectl shows, and what people read. */
  private static final Set<String> FREE =
      Set.of("additionalPrinterColumns", "deprecated", "deprecationWarning");

  /** Names by which a definition is found beside its own; more of them do no harm. */
  private static final Set<String> OTHER_NAMES = Set.of("shortNames", "categories");

  /** Values that every release has its own of. */
  private static final Set<String> IMAGES =
      Set.of(
          "values operator.image.reference",
          "values runtime.image.reference",
          "values runtime.cudaImage.reference");

  private final List<Change> changes = new ArrayList<>();

  private ReleaseComparison() {}

  /** Changes from one custom resource definition to another. */
  static List<Change> definitions(JsonNode before, JsonNode after) {
    String kind = before.at("/spec/names/kind").asText();
    ReleaseComparison comparison = new ReleaseComparison();
    comparison.definition(kind, before.path("spec"), after.path("spec"));
    return comparison.changes;
  }

  /** Changes from a chart's default values, and their schema, to another's. */
  static List<Change> values(
      JsonNode before, JsonNode after, JsonNode schemaBefore, JsonNode schemaAfter) {
    ReleaseComparison comparison = new ReleaseComparison();
    comparison.defaults("values", " ", before, after);
    comparison.changes.addAll(SchemaComparison.changes("values schema", schemaBefore, schemaAfter));
    return comparison.changes;
  }

  private void definition(String kind, JsonNode before, JsonNode after) {
    for (String key : keys(before, after)) {
      switch (key) {
        case "versions" -> versions(kind, before.path(key), after.path(key));
        case "names" -> names(kind, before.path(key), after.path(key));
        default -> differ(kind, key, before.path(key), after.path(key));
      }
    }
  }

  private void names(String kind, JsonNode before, JsonNode after) {
    for (String key : keys(before, after)) {
      if (OTHER_NAMES.contains(key)) {
        before.path(key).forEach(name -> kept(kind, key, name, after.path(key)));
      } else {
        differ(kind, key, before.path(key), after.path(key));
      }
    }
  }

  private void versions(String kind, JsonNode before, JsonNode after) {
    for (JsonNode version : before) {
      String name = version.path("name").asText();
      String path = kind + " " + name;
      JsonNode same = MissingNode.getInstance();
      for (JsonNode other : after) {
        same = other.path("name").asText().equals(name) ? other : same;
      }
      if (same.isMissingNode()) {
        changes.add(new Change(path, "version", "there", Change.NONE));
        continue;
      }
      for (String key : keys(version, same)) {
        JsonNode old = version.path(key);
        JsonNode now = same.path(key);
        switch (key) {
          case "schema" ->
              changes.addAll(
                  SchemaComparison.changes(
                      path, old.path("openAPIV3Schema"), now.path("openAPIV3Schema")));
          case "subresources" ->
              old.properties().forEach(e -> differ(path, key, e, now.path(e.getKey())));
          case "selectableFields" -> old.forEach(field -> kept(path, key, field, now));
          default -> {
            if (!FREE.contains(key)) {
              differ(path, key, old, now);
            }
          }
        }
      }
    }
  }

  private void kept(String path, String key, JsonNode value, JsonNode now) {
    if (!SchemaComparison.contains(now, value)) {
      changes.add(new Change(path, key, "with " + value, "without it"));
    }
  }

  private void defaults(String path, String separator, JsonNode before, JsonNode after) {
    before
        .properties()
        .forEach(
            value -> {
              String below = path + separator + value.getKey();
              JsonNode old = value.getValue();
              JsonNode now = after.path(value.getKey());
              if (now.isMissingNode()) {
                changes.add(new Change(below, "value", "there", Change.NONE));
              } else if (old.isObject() && now.isObject() && !old.isEmpty()) {
                defaults(below, ".", old, now);
              } else if (!IMAGES.contains(below) || old.getNodeType() != now.getNodeType()) {
                differ(below, "default", old, now);
              }
            });
  }

  private void differ(String path, String key, Map.Entry<String, JsonNode> old, JsonNode now) {
    differ(path, key + " " + old.getKey(), old.getValue(), now);
  }

  private void differ(String path, String what, JsonNode old, JsonNode now) {
    if (!old.equals(now)) {
      changes.add(new Change(path, what, SchemaComparison.shown(old), SchemaComparison.shown(now)));
    }
  }

  private static Set<String> keys(JsonNode before, JsonNode after) {
    Set<String> keys = new LinkedHashSet<>();
    before.fieldNames().forEachRemaining(keys::add);
    after.fieldNames().forEachRemaining(keys::add);
    return keys;
  }
}
