package dev.kvdrive.operator.reconcile;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kvdrive.operator.status.ForeignFields;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes out of an object what others put there and what keeps it from becoming what it should be.
 *
 * <p>Server-side apply merges lists by a key. Who edits the key of an entry of the operator's makes
 * another entry of it, which is theirs and stays: beside the one that is applied again, it has the
 * same name, and the API server refuses both. Likewise a second kind of volume in one volume, or a
 * second handler in one probe. Such an object can only be written as a whole.
 */
final class ForeignEntries {
  private static final Logger log = LoggerFactory.getLogger(ForeignEntries.class);
  private static final ObjectMapper JSON = new ObjectMapper();

  /** What Kubernetes, or anybody, may write into a pod template: a request to restart. */
  private static final String TEMPLATE_METADATA = "/template/metadata";

  /** Without it the client would write under a name of its own, which would then own the fields. */
  private static final PatchContext AS_OPERATOR =
      new PatchContext.Builder()
          .withPatchType(PatchType.JSON)
          .withFieldManager(ForeignFields.OPERATOR)
          .build();

  private ForeignEntries() {}

  /**
   * Takes out what stands in the way, and as little else as possible: first only what others put
   * into the operator's own entries or made of them, then all that is not the operator's.
   *
   * @param desired what the API server refused to merge with what others wrote
   * @return whether the object is now such that {@code desired} can be applied
   */
  static boolean takeOut(HasMetadata desired, KubernetesClient client) {
    HasMetadata there = client.resource(desired).get();
    if (there == null) {
      return false;
    }
    List<String> foreign = ForeignFields.of(there);
    JsonNode wanted = JSON.valueToTree(desired).path("spec");
    JsonNode found = JSON.valueToTree(there).path("spec");
    if (foreign.isEmpty() || !wanted.isObject() || !found.isObject()) {
      return false;
    }
    ObjectNode merged = overlaid((ObjectNode) found, (ObjectNode) wanted);
    ObjectNode whole = wanted.deepCopy();
    if (found.at(TEMPLATE_METADATA).isObject()) {
      ((ObjectNode) whole.path("template"))
          .set("metadata", merged.at(TEMPLATE_METADATA).deepCopy());
    }
    for (ObjectNode spec : List.of(merged, whole)) {
      if (replace(there, spec, client)) {
        List<String> left = ForeignFields.of(client.resource(desired).get());
        log.warn(
            "{} {}/{} could not be applied beside what others put into it, which was taken out: {}",
            there.getKind(),
            there.getMetadata().getNamespace(),
            there.getMetadata().getName(),
            String.join("; ", foreign.stream().filter(f -> !left.contains(f)).toList()));
        return true;
      }
    }
    return false;
  }

  /** Writes a specification as a whole, unless it is refused or the object has changed. */
  private static boolean replace(HasMetadata there, JsonNode spec, KubernetesClient client) {
    try {
      HasMetadata replaced =
          client
              .resource(there)
              .patch(
                  AS_OPERATOR,
                  JSON.createArrayNode()
                      .add(sameVersion(there))
                      .add(replacement("/spec", spec))
                      .toString());
      forgetUpdate(replaced, client);
      return true;
    } catch (KubernetesClientException e) {
      if (e.getStatus() == null) {
        throw e; // the API server did not answer
      }
      log.debug("Not replaced: {}", e.getMessage());
      return false;
    }
  }

  /**
   * What is written as a whole is remembered as an update, and would stay when the operator no
   * longer applies it. Only what it applies shall be its own.
   */
  private static void forgetUpdate(HasMetadata replaced, KubernetesClient client) {
    ArrayNode entries = JSON.createArrayNode();
    replaced.getMetadata().getManagedFields().stream()
        .filter(
            entry ->
                !ForeignFields.OPERATOR.equals(entry.getManager())
                    || !"Update".equals(entry.getOperation())
                    || (entry.getSubresource() != null && !entry.getSubresource().isEmpty()))
        .forEach(entry -> entries.add(JSON.<JsonNode>valueToTree(entry)));
    client
        .resource(replaced)
        .patch(
            AS_OPERATOR,
            JSON.createArrayNode()
                .add(sameVersion(replaced))
                .add(replacement("/metadata/managedFields", entries))
                .toString());
  }

  private static ObjectNode sameVersion(HasMetadata object) {
    return JSON.createObjectNode()
        .put("op", "test")
        .put("path", "/metadata/resourceVersion")
        .put("value", object.getMetadata().getResourceVersion());
  }

  private static ObjectNode replacement(String path, JsonNode value) {
    return JSON.createObjectNode().put("op", "replace").put("path", path).set("value", value);
  }

  /**
   * {@code found} with the fields, and in lists the entries, of {@code wanted} as they are there.
   */
  static ObjectNode overlaid(ObjectNode found, ObjectNode wanted) {
    ObjectNode overlaid = found.deepCopy();
    wanted
        .properties()
        .forEach(
            field -> {
              JsonNode value = field.getValue();
              JsonNode there = found.path(field.getKey());
              JsonNode merged = value;
              if (value.isObject() && there.isObject()) {
                merged = overlaid((ObjectNode) there, (ObjectNode) value);
              } else if (value.isArray() && there.isArray()) {
                merged = entries(field.getKey(), (ArrayNode) there, (ArrayNode) value);
              }
              overlaid.set(field.getKey(), merged);
            });
    return overlaid;
  }

  /**
   * The operator's entries, each as a whole, then those of others that were not made of one of the
   * operator's. Within an entry of the operator's, only its own lists keep what others added.
   */
  private static ArrayNode entries(String list, ArrayNode found, ArrayNode wanted) {
    ArrayNode entries = JSON.createArrayNode();
    Set<JsonNode> keys = new HashSet<>();
    Set<String> missing = new HashSet<>();
    for (JsonNode entry : wanted) {
      JsonNode key = key(list, entry);
      if (key == null) {
        return wanted; // one value for the API server, or a set
      }
      keys.add(key);
      JsonNode there = withKey(list, found, key);
      if (there == null && entry.hasNonNull("name")) {
        missing.add(entry.path("name").asText());
      }
      entries.add(there == null ? entry : keepingLists(there, entry));
    }
    for (JsonNode entry : found) {
      if (!keys.contains(key(list, entry)) && !missing.contains(entry.path("name").asText())) {
        entries.add(entry);
      }
    }
    return entries;
  }

  private static JsonNode keepingLists(JsonNode there, JsonNode entry) {
    ObjectNode kept = entry.deepCopy();
    entry
        .properties()
        .forEach(
            field -> {
              if (field.getValue() instanceof ArrayNode own
                  && there.path(field.getKey()) instanceof ArrayNode all) {
                kept.set(field.getKey(), entries(field.getKey(), all, own));
              }
            });
    return kept;
  }

  private static @Nullable JsonNode withKey(String list, ArrayNode entries, JsonNode key) {
    for (JsonNode entry : entries) {
      if (key.equals(key(list, entry))) {
        return entry;
      }
    }
    return null;
  }

  /** By what the API server tells the entries of a list apart; null where it does not. */
  private static @Nullable JsonNode key(String list, JsonNode entry) {
    List<String> fields =
        switch (list) {
          case "ports" ->
              entry.has("containerPort")
                  ? List.of("containerPort", "protocol")
                  : List.of("port", "protocol");
          case "volumeMounts" -> List.of("mountPath");
          case "volumes", "containers", "initContainers", "env", "imagePullSecrets" ->
              List.of("name");
          default -> new ArrayList<>();
        };
    if (fields.isEmpty() || !entry.has(fields.getFirst())) {
      return null;
    }
    ArrayNode key = JSON.createArrayNode();
    fields.forEach(field -> key.add(entry.path(field).asText()));
    return key;
  }
}
