package dev.kvdrive.operator.status;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ManagedFieldsEntry;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What others have put into an object of the operator's, as the API server remembers it. What it
 * fills in by itself belongs to nobody and is not among it; nor is what an admission webhook adds
 * while the operator writes, which the API server attributes to the writer; nor what Kubernetes
 * writes for everybody: a scale, a request to restart.
 */
public final class ForeignFields {
  /** Field manager of the operator. */
  public static final String OPERATOR = "kvdrive-operator";

  private static final ObjectMapper JSON = new ObjectMapper();

  /** Where additions change what runs. */
  private static final List<String> ROOTS = List.of("f:spec", "f:data", "f:binaryData");

  /** By path below the roots. */
  private static final Set<String> EVERYBODYS = Set.of("spec.replicas", "spec.template.metadata");

  private ForeignFields() {}

  /** Each field as a path with the manager that put it there, in the order of the paths. */
  public static List<String> of(HasMetadata object) {
    List<ManagedFieldsEntry> entries = object.getMetadata().getManagedFields();
    if (entries == null) {
      return List.of();
    }
    List<JsonNode> ours =
        entries.stream()
            .filter(entry -> OPERATOR.equals(entry.getManager()))
            .map(ForeignFields::fields)
            .toList();
    Map<String, String> found = new TreeMap<>();
    JsonNode present = JSON.valueToTree(object);
    for (ManagedFieldsEntry entry : entries) {
      boolean subresource = entry.getSubresource() != null && !entry.getSubresource().isEmpty();
      if (!OPERATOR.equals(entry.getManager()) && !subresource) {
        JsonNode theirs = fields(entry);
        for (String root : ROOTS) {
          collect(
              name(root),
              theirs.path(root),
              present.path(name(root)),
              ours.stream().map(fields -> fields.path(root)).toList(),
              entry.getManager(),
              found);
        }
      }
    }
    List<String> lines = new ArrayList<>();
    found.forEach((path, manager) -> lines.add("%s (by %s)".formatted(path, manager)));
    return lines;
  }

  /**
   * A field that is not among the operator's is named, and nothing below it. One that the object
   * has not any more is nobody's: what writes a field's removal, or the API server's own defaults,
   * can leave an entry behind.
   */
  private static void collect(
      String path,
      JsonNode theirs,
      JsonNode present,
      List<JsonNode> ours,
      String manager,
      Map<String, String> found) {
    theirs
        .properties()
        .forEach(
            field -> {
              String below = below(path, field.getKey());
              if (field.getKey().equals(".") || EVERYBODYS.contains(below)) {
                return;
              }
              JsonNode there = at(present, field.getKey());
              if (there.isMissingNode()) {
                return;
              }
              List<JsonNode> same =
                  ours.stream()
                      .map(node -> node.path(field.getKey()))
                      .filter(node -> !node.isMissingNode())
                      .toList();
              if (same.isEmpty()) {
                found.putIfAbsent(below, manager);
              } else {
                collect(below, field.getValue(), there, same, manager, found);
              }
            });
  }

  /** What {@code key}, in the API server's notation, leads to in {@code present}. */
  private static JsonNode at(JsonNode present, String key) {
    String text = key.substring(Math.min(2, key.length()));
    if (key.startsWith("f:")) {
      return present.path(text);
    }
    try {
      JsonNode wanted = JSON.readTree(text);
      for (JsonNode entry : present) {
        if (key.startsWith("k:")
            ? wanted.properties().stream()
                .allMatch(e -> isSame(e.getKey(), e.getValue(), entry.path(e.getKey())))
            : entry.asText().equals(wanted.asText())) {
          return entry;
        }
      }
      return MissingNode.getInstance();
    } catch (JsonProcessingException e) {
      return present; // a notation that is not known: what is there is not known either
    }
  }

  /** The API server writes the default of a part of a key that is left out. */
  private static boolean isSame(String name, JsonNode wanted, JsonNode found) {
    return found.isMissingNode()
        ? name.equals("protocol") && wanted.asText().equals("TCP")
        : found.asText().equals(wanted.asText());
  }

  /** Whether the operator has applied {@code object}: nobody else writes in its name. */
  public static boolean isApplied(HasMetadata object) {
    List<ManagedFieldsEntry> entries = object.getMetadata().getManagedFields();
    return entries != null
        && entries.stream()
            .anyMatch(
                entry ->
                    OPERATOR.equals(entry.getManager()) && "Apply".equals(entry.getOperation()));
  }

  private static JsonNode fields(ManagedFieldsEntry entry) {
    return JSON.valueToTree(
        entry.getFieldsV1() == null ? Map.of() : entry.getFieldsV1().getAdditionalProperties());
  }

  private static String below(String path, String key) {
    return key.startsWith("f:") ? path + "." + name(key) : path + "[" + name(key) + "]";
  }

  /** From the API server's notation: f:NAME, v:VALUE, k:{"KEY":"VALUE"}. */
  private static String name(String key) {
    String text = key.substring(Math.min(2, key.length()));
    if (!key.startsWith("k:")) {
      return text;
    }
    try {
      List<String> values = new ArrayList<>();
      JSON.readTree(text).forEach(value -> values.add(value.asText()));
      return String.join(",", values);
    } catch (JsonProcessingException e) {
      return text;
    }
  }
}
