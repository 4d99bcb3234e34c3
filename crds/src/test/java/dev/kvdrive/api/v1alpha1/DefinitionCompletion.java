package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Completes a generated custom resource definition with what the generator has no annotation for:
 * lists that are maps, the syntax of quantities, the order of printer columns, whole bounds, and
 * bounds of everything that no annotation reaches. Nothing that can be stored is without a bound:
 * what the operator reads must be small enough to be read.
 */
final class DefinitionCompletion {
  /** Lists that the API server merges by a key, by path below the version's schema. */
  private static final Map<String, String> MAP_LISTS =
      Map.of(
          "status.conditions", "type",
          "status.tiers", "name",
          "spec.tenants", "namespace",
          "spec.runtime.topologySpread", "topologyKey",
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

  /** As the Gateway API has it: a domain, or all below one. */
  private static final String HOSTNAME =
      "^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

  /** Strings inside lists, whose syntax no annotation reaches, by path. */
  private static final Map<String, String> ITEM_PATTERNS =
      Map.of(
          "spec.access.fromNamespaces[]",
          "^(\\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$",
          "spec.runtime.imagePullSecrets[]",
          KubernetesNames.OBJECT,
          "spec.route.hostnames[]",
          HOSTNAME,
          "spec.routes.allowedHostnames[]",
          HOSTNAME,
          "spec.routes.allowedGateways[]",
          "^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$");

  /** Kubernetes' syntax, with exponents that arithmetic survives. */
  private static final String QUANTITY =
      "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))"
          + "(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?[0-9]{1,2}))?$";

  private static final int QUANTITY_CHARS = 32;

  /** Longest strings that no annotation reaches, by path; Kubernetes' own bounds. */
  private static final Map<String, Integer> LONGEST =
      Map.ofEntries(
          Map.entry("spec.access.fromNamespaces[]", 63),
          Map.entry("spec.runtime.imagePullSecrets[]", 253),
          Map.entry("spec.route.hostnames[]", 253),
          Map.entry("spec.routes.allowedHostnames[]", 253),
          Map.entry("spec.routes.allowedGateways[]", 317),
          Map.entry("spec.runtime.labels{}", 63),
          Map.entry("spec.runtime.annotations{}", 8192),
          Map.entry("spec.runtime.nodeSelector{}", 63),
          Map.entry("spec.runtime.tolerations[].effect", 32),
          Map.entry("spec.runtime.tolerations[].key", 317),
          Map.entry("spec.runtime.tolerations[].operator", 16),
          Map.entry("spec.runtime.tolerations[].value", 63),
          Map.entry("spec.runtime.nodeAffinity[].values[]", 63),
          Map.entry("spec.storage.allowedClassNames[]", 253),
          Map.entry("spec.models.allowedPrefixes[]", 512),
          Map.entry("spec.downloads.noProxy[]", 253),
          Map.entry("spec.pods.allowedPriorityClassNames[]", 253),
          Map.entry("spec.pods.allowedTolerations[].effect", 32),
          Map.entry("spec.pods.allowedTolerations[].key", 317),
          Map.entry("spec.pods.allowedTolerations[].operator", 16),
          Map.entry("spec.pods.allowedTolerations[].value", 63),
          Map.entry("spec.pods.allowedNodeSelectorKeys[]", 317),
          Map.entry("spec.pods.allowedTopologyKeys[]", 317),
          Map.entry("spec.pods.allowedLabelPrefixes[]", 317),
          Map.entry("spec.pods.allowedAnnotationPrefixes[]", 317));

  private static final int MOST_PROPERTIES = 64;

  /** What the operator writes; generous, because a bound must never refuse a status. */
  private static final int STATUS_CHARS = 32768;

  private static final int STATUS_ITEMS = 1024;

  /** The largest integer that survives JSON's doubles. */
  private static final long LARGEST = (1L << 53) - 1;

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
    walk(
        "",
        schema,
        kind.equals("InferenceDeployment") ? InferenceDeployment.class : InferenceClass.class);
  }

  private static void sortColumns(ObjectNode version) {
    List<JsonNode> columns = new ArrayList<>();
    version.withArray("additionalPrinterColumns").forEach(columns::add);
    columns.sort(Comparator.comparingInt(column -> COLUMNS.indexOf(column.path("name").asText())));
    version.putArray("additionalPrinterColumns").addAll(columns);
  }

  private static void walk(String path, ObjectNode node, Type type) {
    wholeBound(node, "minimum");
    wholeBound(node, "maximum");
    distinctRules(node);
    if (ITEM_PATTERNS.containsKey(path)) {
      node.put("pattern", ITEM_PATTERNS.get(path));
    }
    bound(path, node, type);
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
      walk(path + "[]", items, argument(type, 0));
    }
    if (node.path("additionalProperties") instanceof ObjectNode values) {
      walk(path + "{}", values, argument(type, 1));
    }
    if (node.path("properties") instanceof ObjectNode properties) {
      properties
          .properties()
          .forEach(
              entry -> {
                String member = path.isEmpty() ? entry.getKey() : path + "." + entry.getKey();
                if (!member.startsWith("metadata")) {
                  walk(member, (ObjectNode) entry.getValue(), member(type, entry.getKey()));
                }
              });
    }
  }

  /** Bounds of one value, where it has none; an integer also gets the width of its Java type. */
  private static void bound(String path, ObjectNode node, Type type) {
    if (node.path("x-kubernetes-int-or-string").asBoolean()) {
      node.put("pattern", QUANTITY).put("maxLength", QUANTITY_CHARS);
      node.put("minimum", 0).put("maximum", LARGEST);
      return;
    }
    switch (node.path("type").asText()) {
      case "integer" -> {
        boolean wide = type == long.class || type == Long.class;
        node.put("format", wide ? "int64" : "int32");
        absent(node, "minimum", 0);
        absent(node, "maximum", wide ? LARGEST : Integer.MAX_VALUE);
      }
      case "string" -> {
        if (!node.has("enum") && !node.has("maxLength")) {
          absent(node, "maxLength", longest(path));
        }
      }
      case "array" -> {
        if (path.startsWith("status.")) {
          absent(node, "maxItems", STATUS_ITEMS);
        }
      }
      case "object" -> {
        if (node.has("additionalProperties")) {
          absent(node, "maxProperties", MOST_PROPERTIES);
        }
      }
      default -> {}
    }
  }

  private static int longest(String path) {
    Integer known = LONGEST.get(path);
    if (known == null && !path.startsWith("status.")) {
      throw new IllegalStateException(
          path + " has no @Size and no entry in LONGEST; say how long it may be");
    }
    return known == null ? STATUS_CHARS : known;
  }

  private static void absent(ObjectNode node, String name, long value) {
    if (!node.has(name)) {
      node.set(name, value == (int) value ? IntNode.valueOf((int) value) : LongNode.valueOf(value));
    }
  }

  private static Type argument(Type type, int index) {
    return ((ParameterizedType) type).getActualTypeArguments()[index];
  }

  /** Type of the component, or of the bean's field, that is written as {@code name}. */
  private static Type member(Type type, String name) {
    if (type == InferenceDeployment.class) {
      return name.equals("spec") ? InferenceDeploymentSpec.class : InferenceDeploymentStatus.class;
    }
    if (type == InferenceClass.class) {
      return InferenceClassSpec.class;
    }
    try {
      return ((Class<?>) type).getDeclaredField(name).getGenericType();
    } catch (NoSuchFieldException e) {
      throw new IllegalStateException("%s has no field %s".formatted(type, name), e);
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
