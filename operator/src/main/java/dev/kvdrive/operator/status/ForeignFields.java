package dev.kvdrive.operator.status;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
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
    for (ManagedFieldsEntry entry : entries) {
      boolean subresource = entry.getSubresource() != null && !entry.getSubresource().isEmpty();
      if (!OPERATOR.equals(entry.getManager()) && !subresource) {
        JsonNode theirs = fields(entry);
        for (String root : ROOTS) {
          collect(
              name(root),
              theirs.path(root),
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

  /** A field that is not among the operator's is named, and nothing below it. */
  private static void collect(
      String path,
      JsonNode theirs,
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
              List<JsonNode> same =
                  ours.stream()
                      .map(node -> node.path(field.getKey()))
                      .filter(node -> !node.isMissingNode())
                      .toList();
              if (same.isEmpty()) {
                found.putIfAbsent(below, manager);
              } else {
                collect(below, field.getValue(), same, manager, found);
              }
            });
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
