package dev.kvdrive.feasibility;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.kvdrive.api.v1alpha1.InferenceClass;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;

/**
 * What a user would apply, read from YAML (or JSON) without a cluster, as strictly as the API
 * server does it. Documents of other kinds are passed over.
 *
 * @param deployments in their order; each has a namespace
 * @param classes by name
 */
public record Manifests(
    List<InferenceDeployment> deployments, Map<String, InferenceClass> classes) {
  private static final String API_VERSION =
      InferenceDeployment.GROUP + "/" + InferenceDeployment.VERSION;
  private static final int MAX_DEPTH = 64;

  /** Up to which every whole number is a double. */
  private static final double MOST_WHOLE = 0x1p53;

  private static final ObjectMapper TREES = new ObjectMapper();

  public Manifests {
    deployments = List.copyOf(deployments);
    classes = Map.copyOf(classes);
  }

  /** Reads texts one after the other. Not thread-safe. */
  public static final class Reader {
    private final KubernetesSerialization serialization = new KubernetesSerialization();
    private final Definition deploymentDefinition = Definition.of("inferencedeployments");
    private final Definition classDefinition = Definition.of("inferenceclasses");
    private final List<InferenceDeployment> deployments = new ArrayList<>();
    private final Map<String, InferenceClass> classes = new LinkedHashMap<>();
    private final String namespace;

    /**
     * @param namespace of manifests that name none
     * @throws IllegalArgumentException if no namespace can have that name
     */
    public Reader(String namespace) {
      List<String> faults = new ArrayList<>();
      Definition.namespace("--namespace", TextNode.valueOf(namespace), faults);
      if (!faults.isEmpty()) {
        throw new IllegalArgumentException(faults.getFirst());
      }
      this.namespace = namespace;
    }

    /**
     * Reads the documents of one text.
     *
     * @param source names the text in errors
     * @throws IllegalArgumentException if it is no YAML, or a manifest is not what its definition
     *     says; the message names the source, the document and every field at fault
     */
    public void read(String source, String text) {
      int number = 0;
      for (Object document : documents(source, text)) {
        number++;
        if (document == null) {
          continue;
        }
        JsonNode tree = TREES.valueToTree(whole(document));
        if (!tree.path("apiVersion").isTextual() || !tree.path("kind").isTextual()) {
          throw new IllegalArgumentException(
              "%s: document %d is no manifest: it has no apiVersion and kind"
                  .formatted(source, number));
        }
        for (JsonNode object :
            tree.path("kind").asText().equals("List") ? tree.path("items") : List.of(tree)) {
          read(source, number, object);
        }
      }
    }

    private static List<Object> documents(String source, String text) {
      List<Object> documents = new ArrayList<>();
      try {
        new Load(LoadSettings.builder().setLabel(source).build())
            .loadAllFromString(text)
            .forEach(
                document -> {
                  requireShallow(source, document, 0);
                  documents.add(document);
                });
      } catch (MarkedYamlEngineException e) {
        String where =
            e.getProblemMark()
                .map(m -> " (line %d, column %d)".formatted(m.getLine() + 1, m.getColumn() + 1))
                .orElse("");
        throw new IllegalArgumentException(
            "%s is not valid YAML%s: %s".formatted(source, where, e.getProblem()), e);
      } catch (YamlEngineException e) {
        throw new IllegalArgumentException(
            "%s is not valid YAML: %s".formatted(source, e.getMessage()), e);
      } catch (StackOverflowError e) {
        // The parser calls itself for each level.
        throw tooDeep(source);
      }
      return documents;
    }

    /** Also ends what contains itself. */
    private static void requireShallow(String source, @Nullable Object node, int depth) {
      if (depth > MAX_DEPTH) {
        throw tooDeep(source);
      }
      if (node instanceof Map<?, ?> map) {
        map.forEach(
            (key, value) -> {
              requireShallow(source, key, depth + 1);
              requireShallow(source, value, depth + 1);
            });
      } else if (node instanceof Iterable<?> list) {
        list.forEach(item -> requireShallow(source, item, depth + 1));
      }
    }

    /** Numbers as JSON has them, in which kubectl sends them: 1e3 is 1000 there, an integer. */
    private static @Nullable Object whole(@Nullable Object node) {
      return switch (node) {
        case Map<?, ?> map -> {
          Map<Object, @Nullable Object> copy = new LinkedHashMap<>();
          map.forEach((key, value) -> copy.put(key, whole(value)));
          yield copy;
        }
        case Iterable<?> list -> {
          List<@Nullable Object> copy = new ArrayList<>();
          list.forEach(item -> copy.add(whole(item)));
          yield copy;
        }
        case Double number when number == Math.rint(number) && Math.abs(number) < MOST_WHOLE ->
            number.longValue();
        case null, default -> node;
      };
    }

    private static IllegalArgumentException tooDeep(String source) {
      return new IllegalArgumentException(
          "%s is nested deeper than %d levels; no manifest is".formatted(source, MAX_DEPTH));
    }

    private void read(String source, int number, JsonNode object) {
      String kind = object.path("kind").asText();
      if (!object.path("apiVersion").asText().startsWith(InferenceDeployment.GROUP + "/")) {
        return;
      }
      String name = object.path("metadata").path("name").asText();
      String what = "%s: %s %s".formatted(source, kind, name.isEmpty() ? "number " + number : name);
      if (!object.path("apiVersion").asText().equals(API_VERSION)) {
        throw new IllegalArgumentException(
            "%s: apiVersion must be %s, got %s"
                .formatted(what, API_VERSION, object.path("apiVersion").asText()));
      }
      List<String> faults = new ArrayList<>();
      switch (kind) {
        case "InferenceDeployment" -> {
          faults.addAll(deploymentDefinition.faults(object));
          require(what, faults);
          InferenceDeployment deployment = typed(object, InferenceDeployment.class);
          if (deployment.getMetadata().getNamespace() == null) {
            deployment.getMetadata().setNamespace(namespace);
          }
          deployments.add(deployment);
        }
        case "InferenceClass" -> {
          faults.addAll(classDefinition.faults(object));
          require(what, faults);
          classes.put(name, typed(object, InferenceClass.class));
        }
        default ->
            throw new IllegalArgumentException(
                "%s: there is no such kind; known are InferenceDeployment and InferenceClass"
                    .formatted(what));
      }
    }

    private <T> T typed(JsonNode object, Class<T> type) {
      // What is written there is the API server's; a manifest may have been copied from one.
      ((ObjectNode) object).remove("status");
      return serialization.convertValue(TREES.convertValue(object, Map.class), type);
    }

    private static void require(String what, List<String> faults) {
      if (!faults.isEmpty()) {
        throw new IllegalArgumentException(what + ": " + String.join("; ", faults));
      }
    }

    /** What was read so far. */
    public Manifests manifests() {
      return new Manifests(deployments, classes);
    }
  }

  /** The class of {@code deployment}, if it is among the manifests. */
  public Optional<InferenceClass> classOf(InferenceDeployment deployment) {
    return Optional.ofNullable(classes.get(Assessor.className(deployment)));
  }
}
