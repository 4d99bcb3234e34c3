package dev.kvdrive.feasibility;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.plan.ModelGeometry;
import java.io.IOException;
import java.io.InputStream;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class DefinitionTest {
  private static final String STORED =
      """
      apiVersion: kvdrive.dev/v1alpha1
      kind: InferenceDeployment
      metadata: {name: stored, namespace: legal}
      spec:
        model:
          uri: hf://acme/model
          geometry:
            layers: %s
            hidden: 64
            heads: 4
            kvHeads: 2
            headDim: 16
            feedForward: 128
            vocabulary: 256
            maxContext: 32768
            weights: %s
        contextLength: 16384
        ofALaterVersion: true
        tiers: {gpu: {memory: 96Mi}, dram: {size: 64Mi}}
      status: {replicas: many}
      """;

  private final Definition definition = Definition.of("inferencedeployments");

  @Test
  void whatIsStoredMayHaveFieldsOfALaterVersionAndAnyStatus() throws IOException {
    JsonNode stored = tree(STORED.formatted("2", "1Mi"));

    assertThat(definition.faultsOfStored(stored)).isEmpty();
    assertThat(definition.faults(stored))
        .anySatisfy(fault -> assertThat(fault).startsWith("spec.ofALaterVersion"));
  }

  @Test
  void whatAnEarlierVersionLetInIsNamed() throws IOException {
    assertThat(definition.faultsOfStored(tree(STORED.formatted("3000000000", "1e-999999999"))))
        .anySatisfy(
            fault ->
                assertThat(fault).startsWith("spec.model.geometry.layers").contains("3000000000"))
        .anySatisfy(fault -> assertThat(fault).startsWith("spec.model.geometry.weights"));
  }

  @Test
  void whatBoundsAContextIsOneOfItsWords() throws IOException {
    String sound =
        STORED.formatted("2", "4Mi").replace("maxContext:", "contextLimit: %s\n      maxContext:");
    assertThat(definition.faultsOfStored(tree(sound.formatted("window")))).isEmpty();
    assertThat(definition.faultsOfStored(tree(sound.formatted("extended"))))
        .singleElement()
        .asString()
        .startsWith("spec.model.geometry.contextLimit")
        .contains("[chunked, scaled, trained, window]");
  }

  /** As the API server counts: a character is a code point, whatever Java makes of it. */
  @Test
  void lengthsAreOfCodePoints() throws IOException {
    JsonNode fits = withTemplate("\uD83D\uDE00".repeat(65536));
    JsonNode isLonger = withTemplate("\uD83D\uDE00".repeat(65537));

    assertThat(definition.faultsOfStored(fits)).isEmpty();
    assertThat(definition.faultsOfStored(isLonger))
        .singleElement()
        .satisfies(fault -> assertThat(fault).contains("at most 65536 characters, got 65537"));
  }

  private static JsonNode withTemplate(String template) throws IOException {
    JsonNode stored = tree(STORED.formatted("2", "4Mi"));
    ((ObjectNode) stored.at("/spec/model")).put("chatTemplate", template);
    return stored;
  }

  /** The API server refuses exactly what the planner would. */
  @Test
  void theBoundsOfGeometryAreThePlanners() throws IOException {
    Map<String, Integer> planners =
        Map.of(
            "layers", ModelGeometry.MAX_LAYERS,
            "hidden", ModelGeometry.MAX_HIDDEN,
            "heads", ModelGeometry.MAX_HEADS,
            "kvHeads", ModelGeometry.MAX_HEADS,
            "headDim", ModelGeometry.MAX_HEAD_DIM,
            "feedForward", ModelGeometry.MAX_FEED_FORWARD,
            "vocabulary", ModelGeometry.MAX_VOCABULARY,
            "maxContext", ModelGeometry.MAX_CONTEXT);
    try (InputStream in =
        InferenceDeployment.class.getResourceAsStream("inferencedeployments.kvdrive.dev.yaml")) {
      JsonNode geometry =
          new YAMLMapper()
              .readTree(Objects.requireNonNull(in))
              .at(
                  "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/model"
                      + "/properties/geometry/properties");
      planners.forEach(
          (field, most) ->
              assertThat(geometry.path(field).path("maximum").asInt()).as(field).isEqualTo(most));
    }
  }

  private static JsonNode tree(String yaml) throws IOException {
    return new YAMLMapper().readTree(yaml);
  }
}
