package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Completes a generated custom resource definition with what the generator has no annotation for:
 * lists that are maps, the syntax of quantities, the order of printer columns, whole bounds.
 */
final class DefinitionCompletion {
  /** Lists that the API server merges by a key, by path below the version's schema. */
  private static final Map<String, String> MAP_LISTS =
      Map.of(
          "status.conditions", "type",
          "status.tiers", "name",
          "spec.tenants", "namespace",
          "spec.models.catalogue", "uri");

  /** Columns in the order a reader wants them. */
  private static final List<String> COLUMNS =
      List.of(
          "Ready",
          "Reason",
          "Device",
          "StorageClass",
          "Model",
          "Context",
          "Concurrency",
          "GPU",
          "DRAM",
          "NVMe",
          "URL",
          "Age",
          "Message");

  /** Strings inside lists, whose syntax no annotation reaches, by path. */
  private static final Map<String, String> ITEM_PATTERNS =
      Map.of("spec.access.fromNamespaces[]", "^(\\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$");

  private static final String QUANTITY =
      "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))"
          + "(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?[0-9]+))?$";

  private DefinitionCompletion() {}

  /** Completes {@code definition} in place. */
  static void complete(ObjectNode definition, Map<String, String> descriptions) {
    ObjectNode version = (ObjectNode) definition.at("/spec/versions/0");
    sortColumns(version);
    ObjectNode schema = (ObjectNode) version.at("/schema/openAPIV3Schema");
    String kind = definition.at("/spec/names/kind").asText();
    schema.put("description", descriptions.get(kind));
    schema.putArray("required").add("spec");
    if (kind.equals("InferenceDeployment")) {
      ObjectNode name =
          schema
              .withObject("properties")
              .putObject("metadata")
              .put("type", "object")
              .putObject("properties")
              .putObject("name");
      name.put("type", "string")
          .put("maxLength", InferenceDeployment.MAX_NAME)
          .put("pattern", "^[a-z]([-a-z0-9]*[a-z0-9])?$");
    }
    walk("", schema);
  }

  private static void sortColumns(ObjectNode version) {
    List<JsonNode> columns = new ArrayList<>();
    version.withArray("additionalPrinterColumns").forEach(columns::add);
    columns.sort(Comparator.comparingInt(column -> COLUMNS.indexOf(column.path("name").asText())));
    version.putArray("additionalPrinterColumns").addAll(columns);
  }

  private static void walk(String path, ObjectNode node) {
    wholeBound(node, "minimum");
    wholeBound(node, "maximum");
    distinctRules(node);
    if (node.path("x-kubernetes-int-or-string").asBoolean()) {
      node.put("pattern", QUANTITY);
    }
    if (ITEM_PATTERNS.containsKey(path)) {
      node.put("pattern", ITEM_PATTERNS.get(path));
    }
    String key = MAP_LISTS.get(path);
    if (key != null) {
      node.put("x-kubernetes-list-type", "map");
      node.putArray("x-kubernetes-list-map-keys").add(key);
      ObjectNode items = (ObjectNode) node.path("items");
      if (items.path("required").isMissingNode()) {
        items.putArray("required").add("status").add("type");
      }
    }
    if (node.path("items") instanceof ObjectNode items) {
      walk(path + "[]", items);
    }
    if (node.path("properties") instanceof ObjectNode properties) {
      properties
          .properties()
          .forEach(
              entry ->
                  walk(
                      path.isEmpty() ? entry.getKey() : path + "." + entry.getKey(),
                      (ObjectNode) entry.getValue()));
    }
  }

  /** The generator writes bounds as doubles; 1.6777216E7 is no bound a reader recognises. */
  private static void wholeBound(ObjectNode node, String name) {
    if (node.path(name).isNumber()) {
      long value = node.path(name).asLong();
      if (node.path(name).decimalValue().compareTo(BigDecimal.valueOf(value)) == 0) {
        node.set(
            name, value == (int) value ? IntNode.valueOf((int) value) : LongNode.valueOf(value));
      }
    }
  }

  /** A rule on a record component reaches the generator twice: by its field and its accessor. */
  private static void distinctRules(ObjectNode node) {
    if (node.path("x-kubernetes-validations") instanceof ArrayNode rules) {
      Set<JsonNode> seen = new HashSet<>();
      List<JsonNode> distinct = new ArrayList<>();
      rules.forEach(
          rule -> {
            if (seen.add(rule)) {
              distinct.add(rule);
            }
          });
      node.putArray("x-kubernetes-validations").addAll(distinct);
    }
  }
}
