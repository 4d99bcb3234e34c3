package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Compares schemas, of a definition's version or of a chart's values, with those of a release. What
 * only allows more is no change; a keyword that is not known here is one whenever it differs.
 */
final class SchemaComparison {
  /** What people read. */
  private static final Set<String> WORDS =
      Set.of("description", "title", "example", "externalDocs", "$schema", "definitions");

  private static final Set<String> LOWER =
      Set.of("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties");
  private static final Set<String> UPPER =
      Set.of("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties");

  /** Without which more is allowed. */
  private static final Set<String> CONSTRAINTS =
      Set.of(
          "pattern",
          "const",
          "uniqueItems",
          "multipleOf",
          "not",
          "allOf",
          "anyOf",
          "oneOf",
          "dependencies");

  /** With which more is allowed. */
  private static final Set<String> PERMISSIONS =
      Set.of("nullable", "x-kubernetes-preserve-unknown-fields");

  /** What a rule says when it is broken. */
  private static final List<String> COMPLAINTS =
      List.of("message", "messageExpression", "reason", "fieldPath");

  private final JsonNode oldRoot;
  private final JsonNode newRoot;
  private final List<Change> changes = new ArrayList<>();

  private SchemaComparison(JsonNode oldRoot, JsonNode newRoot) {
    this.oldRoot = oldRoot;
    this.newRoot = newRoot;
  }

  /** Changes from one schema to another; paths begin with the prefix. */
  static List<Change> changes(String prefix, JsonNode before, JsonNode after) {
    SchemaComparison comparison = new SchemaComparison(before, after);
    comparison.compare(prefix, " ", before, after);
    return comparison.changes;
  }

  private void compare(String path, String separator, JsonNode oldNode, JsonNode newNode) {
    JsonNode before = resolved(oldNode, oldRoot);
    JsonNode after = resolved(newNode, newRoot);
    Set<String> keywords = new LinkedHashSet<>();
    before.fieldNames().forEachRemaining(keywords::add);
    after.fieldNames().forEachRemaining(keywords::add);
    for (String keyword : keywords) {
      JsonNode old = before.path(keyword);
      JsonNode now = after.path(keyword);
      switch (keyword) {
        case "properties" -> fields(path, separator, old, now);
        case "required" -> required(path, separator, old, now, after.path("properties"));
        case "items" -> inside(path + "[]", keyword, old, now);
        case "additionalProperties" -> additional(path, old, now);
        case "enum" -> enumeration(path, old, now);
        case "type" -> type(path, old, now);
        case "x-kubernetes-validations" -> rules(path, old, now);
        default -> {
          if (!WORDS.contains(keyword) && !allowsMore(keyword, old, now)) {
            differ(path, keyword, old, now);
          }
        }
      }
    }
  }

  private static JsonNode resolved(JsonNode node, JsonNode root) {
    JsonNode found = node;
    while (found.path("$ref").isTextual()) {
      found = root.at(found.path("$ref").asText().substring(1));
    }
    return found;
  }

  private static boolean allowsMore(String keyword, JsonNode old, JsonNode now) {
    if (LOWER.contains(keyword) || UPPER.contains(keyword)) {
      if (now.isMissingNode()) {
        return true;
      }
      if (!old.isNumber() || !now.isNumber()) {
        return old.equals(now);
      }
      int moved = now.decimalValue().compareTo(old.decimalValue());
      return LOWER.contains(keyword) ? moved <= 0 : moved >= 0;
    }
    return (CONSTRAINTS.contains(keyword) && now.isMissingNode())
        || (PERMISSIONS.contains(keyword) && !old.asBoolean());
  }

  private void fields(String path, String separator, JsonNode old, JsonNode now) {
    old.properties()
        .forEach(
            field -> {
              String below = path + separator + field.getKey();
              if (now.has(field.getKey())) {
                compare(below, ".", field.getValue(), now.path(field.getKey()));
              } else {
                changes.add(new Change(below, "field", "there", Change.NONE));
              }
            });
  }

  /** A field that has a default is never missing. */
  private void required(
      String path, String separator, JsonNode old, JsonNode now, JsonNode properties) {
    for (JsonNode name : now) {
      if (!contains(old, name) && !properties.path(name.asText()).has("default")) {
        changes.add(new Change(path + separator + name.asText(), "required", "false", "true"));
      }
    }
  }

  private void inside(String path, String keyword, JsonNode old, JsonNode now) {
    if (old.isObject() && now.isObject()) {
      compare(path, ".", old, now);
    } else if (!now.isMissingNode() || !old.isMissingNode()) {
      differ(path, keyword, old, now);
    }
  }

  private void additional(String path, JsonNode old, JsonNode now) {
    boolean closed = old.isBoolean() && !old.asBoolean();
    boolean opened = now.isBoolean() && now.asBoolean();
    if (!closed && !opened) {
      inside(path + "{}", "additionalProperties", old, now);
    }
  }

  private void enumeration(String path, JsonNode old, JsonNode now) {
    if (now.isMissingNode()) {
      return;
    }
    if (old.isMissingNode()) {
      differ(path, "enum", old, now);
    }
    for (JsonNode value : old) {
      if (!contains(now, value)) {
        changes.add(new Change(path, "enum", "with " + value, "without it"));
      }
    }
  }

  private void type(String path, JsonNode old, JsonNode now) {
    boolean wider = old.isTextual() && now.isArray() && contains(now, old);
    if (!wider) {
      differ(path, "type", old, now);
    }
  }

  private void rules(String path, JsonNode old, JsonNode now) {
    List<JsonNode> known = new ArrayList<>();
    old.forEach(rule -> known.add(meaning(rule)));
    for (JsonNode rule : now) {
      JsonNode meaning = meaning(rule);
      if (!known.contains(meaning)) {
        String said = meaning.size() == 1 ? rule.path("rule").toString() : meaning.toString();
        changes.add(new Change(path, "rule", Change.NONE, said));
      }
    }
  }

  private static JsonNode meaning(JsonNode rule) {
    return rule.<ObjectNode>deepCopy().remove(COMPLAINTS);
  }

  private void differ(String path, String keyword, JsonNode old, JsonNode now) {
    if (!old.equals(now)) {
      changes.add(new Change(path, keyword, shown(old), shown(now)));
    }
  }

  static String shown(JsonNode node) {
    return node.isMissingNode() ? Change.NONE : node.toString();
  }

  static boolean contains(JsonNode list, JsonNode value) {
    for (JsonNode one : list) {
      if (one.equals(value)) {
        return true;
      }
    }
    return false;
  }
}
