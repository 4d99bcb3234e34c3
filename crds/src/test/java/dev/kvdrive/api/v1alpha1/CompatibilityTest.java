package dev.kvdrive.api.v1alpha1;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What was stored, applied or set with a release is taken as it was. What differs and is meant is
 * in {@code releases/changes.yaml}, with why. That every such difference is seen is shown by making
 * each kind of it wherever it can be made.
 */
class CompatibilityTest {
  private static final Path RELEASES = Path.of("../releases");
  private static final Path ACKNOWLEDGED = RELEASES.resolve("changes.yaml");
  private static final Path CHART = Path.of("../helm/kvdrive");
  private static final List<String> PLURALS = List.of("inferencedeployments", "inferenceclasses");
  private static final YAMLMapper YAML = new YAMLMapper();

  static List<String> releases() throws IOException {
    try (Stream<Path> folders = Files.list(RELEASES)) {
      return folders
          .filter(folder -> Files.exists(folder.resolve("commit")))
          .map(folder -> folder.getFileName().toString())
          .sorted()
          .toList();
    }
  }

  @ParameterizedTest
  @MethodSource("releases")
  void whatWasReleasedIsTakenAsItWas(String release) throws IOException {
    List<String> known =
        acknowledged().stream()
            .filter(entry -> entry.path("since").asText().equals(release))
            .map(entry -> entry.path("change").asText())
            .toList();
    List<String> changes = changes(release).stream().map(Change::toString).toList();

    assertThat(
            changes.stream().filter(change -> !known.contains(change)).map(c -> told(release, c)))
        .isEmpty();
    assertThat(known)
        .as("acknowledged in releases/changes.yaml, but not so: remove what nobody needs any more")
        .isSubsetOf(changes);
  }

  @Test
  void whatIsAcknowledgedSaysWhyAndSinceWhen() throws IOException {
    assertThat(acknowledged())
        .allSatisfy(
            entry -> {
              assertThat(entry.fieldNames())
                  .toIterable()
                  .containsExactlyInAnyOrder("since", "change", "why");
              assertThat(releases()).contains(entry.path("since").asText());
              assertThat(entry.path("why").asText()).isNotBlank();
            });
  }

  private static String told(String release, String change) {
    return """
        %s.
        What release %s stored, or was given, may be refused or mean something else. Leave it as it was; or, where that \
        is meant, say in releases/changes.yaml what becomes of it:
        - since: %s
          change: '%s'
          why: ...
        """
        .formatted(change, release, release, change.replace("'", "''"));
  }

  private static List<JsonNode> acknowledged() throws IOException {
    List<JsonNode> entries = new ArrayList<>();
    YAML.readTree(ACKNOWLEDGED.toFile()).forEach(entries::add);
    return entries;
  }

  private static List<Change> changes(String release) throws IOException {
    Path folder = RELEASES.resolve(release);
    List<Change> changes = new ArrayList<>();
    for (String plural : PLURALS) {
      changes.addAll(
          ReleaseComparison.definitions(
              YAML.readTree(folder.resolve("crds/" + plural + ".kvdrive.dev.yaml").toFile()),
              definition(plural)));
    }
    changes.addAll(
        ReleaseComparison.values(
            YAML.readTree(folder.resolve("chart/values.yaml").toFile()),
            YAML.readTree(CHART.resolve("values.yaml").toFile()),
            YAML.readTree(folder.resolve("chart/values.schema.json").toFile()),
            YAML.readTree(CHART.resolve("values.schema.json").toFile())));
    return changes;
  }

  private static ObjectNode definition(String plural) throws IOException {
    return (ObjectNode)
        YAML.readTree(Path.of("src/main/crds", plural + ".kvdrive.dev.yaml").toFile());
  }

  // --- every kind of change, wherever it can be made ------------------------------

  /** A place of a schema: its path as it is told, and where it lies in the document. */
  private record Place(String path, String pointer, ObjectNode node) {
    Place below(String path, String pointer) {
      return new Place(path, this.pointer + pointer, (ObjectNode) node.at(pointer));
    }

    String field(String name) {
      return path + (path.endsWith("v1alpha1") ? " " : ".") + name;
    }
  }

  private static List<Place> places(ObjectNode definition) {
    String schema = "/spec/versions/0/schema/openAPIV3Schema";
    List<Place> places = new ArrayList<>();
    collect(
        new Place(
            definition.at("/spec/names/kind").asText() + " v1alpha1",
            schema,
            (ObjectNode) definition.at(schema)),
        places);
    assertThat(places).hasSizeGreaterThan(50);
    return places;
  }

  private static void collect(Place place, List<Place> places) {
    places.add(place);
    for (var field : place.node().path("properties").properties()) {
      collect(place.below(place.field(field.getKey()), "/properties/" + field.getKey()), places);
    }
    if (place.node().path("items").isObject()) {
      collect(place.below(place.path() + "[]", "/items"), places);
    }
    if (place.node().path("additionalProperties").isObject()) {
      collect(place.below(place.path() + "{}", "/additionalProperties"), places);
    }
  }

  /** Makes a change at every place that it can be made at, and has each told by itself. */
  private static int everywhere(Function<Place, List<Made>> change) {
    int made = 0;
    for (String plural : PLURALS) {
      ObjectNode before = read(plural);
      for (Place place : places(before)) {
        for (Made one : change.apply(place)) {
          ObjectNode after = before.deepCopy();
          one.by().accept((ObjectNode) after.at(place.pointer()));
          List<Change> told = ReleaseComparison.definitions(before, after);
          if (one.told() == null) {
            assertThat(told).as(place.path()).isEmpty();
          } else {
            assertThat(told).as(place.path()).containsExactly(one.told());
            assertThat(told("0.1.0", told.getFirst().toString()))
                .contains(one.told().path(), one.told().before(), one.told().after())
                .contains("releases/changes.yaml");
          }
          made++;
        }
      }
    }
    assertThat(made).isPositive();
    return made;
  }

  private static ObjectNode read(String plural) {
    try {
      return definition(plural);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What is done to a place, and what is told of it; null if it only allows more. */
  private record Made(Consumer<ObjectNode> by, @Nullable Change told) {}

  private static List<Made> only(boolean can, Consumer<ObjectNode> by, @Nullable Change told) {
    return can ? List.of(new Made(by, told)) : List.of();
  }

  @Test
  void everyFieldThatIsRemovedIsTold() {
    everywhere(
        place ->
            place.node().path("properties").properties().stream()
                .map(
                    field ->
                        new Made(
                            node -> ((ObjectNode) node.path("properties")).remove(field.getKey()),
                            new Change(place.field(field.getKey()), "field", "there", "none")))
                .toList());
  }

  @Test
  void everyTypeThatChangesIsTold() {
    everywhere(
        place -> {
          String type = place.node().path("type").asText();
          String other = type.equals("string") ? "boolean" : "string";
          return only(
              !type.isEmpty(),
              node -> node.put("type", other),
              new Change(place.path(), "type", quoted(type), quoted(other)));
        });
    everywhere(
        place ->
            only(
                place.node().has("x-kubernetes-int-or-string"),
                node -> node.remove("x-kubernetes-int-or-string"),
                new Change(place.path(), "x-kubernetes-int-or-string", "true", "none")));
  }

  @Test
  void everyFieldThatBecomesRequiredIsTold() {
    everywhere(
        place ->
            place.node().path("properties").properties().stream()
                .filter(field -> !field.getValue().has("default"))
                .filter(field -> !isRequired(place.node(), field.getKey()))
                .map(
                    field ->
                        new Made(
                            node -> node.withArray("required").add(field.getKey()),
                            new Change(place.field(field.getKey()), "required", "false", "true")))
                .toList());
  }

  @Test
  void aNewFieldThatIsRequiredIsToldUnlessItHasADefault() {
    everywhere(
        place ->
            only(
                place.node().has("properties"),
                node -> newField(node).put("type", "string"),
                new Change(place.field("newcomer"), "required", "false", "true")));
    everywhere(
        place ->
            only(
                place.node().has("properties"),
                node -> newField(node).put("type", "string").put("default", "as before"),
                null));
  }

  private static ObjectNode newField(ObjectNode node) {
    node.withArray("required").add("newcomer");
    return ((ObjectNode) node.path("properties")).putObject("newcomer");
  }

  @Test
  void everyValueThatIsNotAllowedAnyMoreIsTold() {
    everywhere(
        place -> {
          List<Made> made = new ArrayList<>();
          ArrayNode values = place.node().has("enum") ? place.node().withArray("enum") : null;
          for (int i = 0; values != null && i < values.size(); i++) {
            int index = i;
            made.add(
                new Made(
                    node -> node.withArray("enum").remove(index),
                    new Change(place.path(), "enum", "with " + values.get(i), "without it")));
          }
          return made;
        });
    everywhere(
        place ->
            only(
                place.node().path("type").asText().equals("string") && !place.node().has("enum"),
                node -> node.putArray("enum").add("this"),
                new Change(place.path(), "enum", "none", "[\"this\"]")));
  }

  @ParameterizedTest
  @ValueSource(strings = {"minimum", "minLength", "minItems"})
  void everyLowerBoundThatRisesIsTold(String bound) {
    moves(bound, 1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"maximum", "maxLength", "maxItems", "maxProperties"})
  void everyUpperBoundThatFallsIsTold(String bound) {
    moves(bound, -1);
  }

  private static void moves(String bound, int by) {
    everywhere(
        place -> {
          double is = place.node().path(bound).asDouble();
          ObjectNode there = place.node().objectNode().put("is", is + by);
          return only(
              place.node().has(bound),
              node -> node.put(bound, is + by),
              new Change(
                  place.path(), bound, place.node().path(bound).toString(), "" + there.get("is")));
        });
    everywhere(
        place -> {
          double is = place.node().path(bound).asDouble();
          return only(place.node().has(bound), node -> node.put(bound, is - by), null);
        });
    everywhere(place -> only(place.node().has(bound), node -> node.remove(bound), null));
  }

  @ParameterizedTest
  @ValueSource(strings = {"minLength", "maxLength", "pattern"})
  void everyBoundOfATextThatHadNoneIsTold(String bound) {
    for (String plural : PLURALS) {
      ObjectNode with = read(plural);
      for (Place place : places(with)) {
        if (place.node().has(bound)) {
          ObjectNode without = with.deepCopy();
          ((ObjectNode) without.at(place.pointer())).remove(bound);
          assertThat(ReleaseComparison.definitions(without, with))
              .containsExactly(
                  new Change(place.path(), bound, "none", place.node().path(bound).toString()));
        }
      }
    }
  }

  @Test
  void everyPatternFormatAndKindOfListThatChangesIsTold() {
    for (String keyword : List.of("pattern", "format", "x-kubernetes-list-type")) {
      everywhere(
          place ->
              only(
                  place.node().has(keyword),
                  node -> node.put(keyword, "other"),
                  new Change(
                      place.path(), keyword, place.node().path(keyword).toString(), "\"other\"")));
    }
  }

  @Test
  void everyRuleThatIsAddedIsTold() {
    everywhere(
        place ->
            only(
                place.node().path("type").asText().equals("object"),
                node ->
                    node.withArray("x-kubernetes-validations")
                        .addObject()
                        .put("rule", "has(self.newcomer)")
                        .put("message", "needs a newcomer"),
                new Change(place.path(), "rule", "none", "\"has(self.newcomer)\"")));
  }

  @Test
  void everyDefaultThatChangesComesOrGoesIsTold() {
    everywhere(
        place ->
            only(
                place.node().has("default"),
                node -> node.put("default", "other"),
                new Change(
                    place.path(), "default", "" + place.node().path("default"), "\"other\"")));
    everywhere(
        place ->
            only(
                place.node().has("default"),
                node -> node.remove("default"),
                new Change(place.path(), "default", "" + place.node().path("default"), "none")));
    everywhere(
        place ->
            only(
                place.node().path("type").asText().equals("string") && !place.node().has("default"),
                node -> node.put("default", "new"),
                new Change(place.path(), "default", "none", "\"new\"")));
  }

  @Test
  void everyListAndMapThatHoldsSomethingElseIsTold() {
    for (String keyword : List.of("items", "additionalProperties")) {
      String brackets = keyword.equals("items") ? "[]" : "{}";
      everywhere(
          place ->
              only(
                  place.node().has(keyword),
                  node -> node.remove(keyword),
                  new Change(
                      place.path() + brackets,
                      keyword,
                      place.node().path(keyword).toString(),
                      "none")));
    }
  }

  @Test
  void whatAllowsMoreOrIsOnlyReadIsNoChange() {
    everywhere(
        place ->
            only(
                place.node().has("properties"),
                node ->
                    ((ObjectNode) node.path("properties"))
                        .putObject("newcomer")
                        .put("type", "integer")
                        .put("maximum", 3),
                null));
    for (String keyword : List.of("required", "enum", "pattern", "x-kubernetes-validations")) {
      everywhere(place -> only(place.node().has(keyword), node -> node.remove(keyword), null));
    }
    everywhere(
        place ->
            only(place.node().has("enum"), node -> node.withArray("enum").add("A new one"), null));
    everywhere(place -> only(true, node -> node.put("description", "other words"), null));
    everywhere(
        place ->
            only(
                place.node().has("x-kubernetes-validations"),
                node ->
                    node.path("x-kubernetes-validations")
                        .forEach(rule -> ((ObjectNode) rule).put("message", "other words")),
                null));
  }

  @ParameterizedTest
  @ValueSource(strings = {"inferencedeployments", "inferenceclasses"})
  void whatChangesOfADefinitionItselfIsTold(String plural) {
    String kind = read(plural).at("/spec/names/kind").asText();
    String version = kind + " v1alpha1";
    String scope = read(plural).at("/spec/scope").toString();
    String shortName = read(plural).at("/spec/names/shortNames/0").toString();
    String group = "\"kvdrive.dev\"";
    told(plural, "/spec", d -> d.put("scope", "?"), new Change(kind, "scope", scope, "\"?\""));
    told(plural, "/spec", d -> d.put("group", "?"), new Change(kind, "group", group, "\"?\""));
    told(
        plural,
        "/spec/names",
        names -> names.putArray("shortNames"),
        new Change(kind, "shortNames", "with " + shortName, "without it"));
    told(
        plural,
        "/spec/names",
        names -> names.put("plural", "?"),
        new Change(kind, "plural", quoted(plural), "\"?\""));
    String first = "/spec/versions/0";
    told(plural, first, v -> v.put("name", "v1"), new Change(version, "version", "there", "none"));
    for (String flag : List.of("served", "storage")) {
      told(plural, first, v -> v.put(flag, false), new Change(version, flag, "true", "false"));
    }
    told(plural, first, v -> v.remove("additionalPrinterColumns"), null);
    told(
        plural,
        "/spec",
        spec -> spec.withArray("versions").addObject().put("name", "v1").put("storage", false),
        null);
  }

  @Test
  void whatScalesNoLongerIsTold() {
    String scale =
        read("inferencedeployments").at("/spec/versions/0/subresources/scale").toString();
    told(
        "inferencedeployments",
        "/spec/versions/0/subresources",
        s -> s.remove("scale"),
        new Change("InferenceDeployment v1alpha1", "subresources scale", scale, "none"));
  }

  private static void told(
      String plural, String pointer, Consumer<ObjectNode> by, @Nullable Change told) {
    ObjectNode before = read(plural);
    ObjectNode after = before.deepCopy();
    by.accept((ObjectNode) after.at(pointer));
    if (told == null) {
      assertThat(ReleaseComparison.definitions(before, after)).isEmpty();
    } else {
      assertThat(ReleaseComparison.definitions(before, after)).containsExactly(told);
    }
  }

  @Test
  void aValueOfTheChartThatGoesOrMeansSomethingElseIsTold() throws IOException {
    JsonNode values = YAML.readTree(CHART.resolve("values.yaml").toFile());
    JsonNode schema = YAML.readTree(CHART.resolve("values.schema.json").toFile());
    List<String> pointers = new ArrayList<>();
    leaves(values, "", pointers);
    assertThat(pointers).hasSizeGreaterThan(40).contains("/runtime/traces/sampling");
    for (String pointer : pointers) {
      String parent = pointer.substring(0, pointer.lastIndexOf('/'));
      String name = pointer.substring(pointer.lastIndexOf('/') + 1);
      String path = "values " + pointer.substring(1).replace('/', '.');

      JsonNode without = values.deepCopy();
      ((ObjectNode) without.at(parent)).remove(name);
      assertThat(ReleaseComparison.values(values, without, schema, schema))
          .containsExactly(new Change(path, "value", "there", "none"));

      JsonNode other = values.deepCopy();
      ((ObjectNode) other.at(parent)).putArray(name).add("other");
      assertThat(ReleaseComparison.values(values, other, schema, schema))
          .containsExactly(
              new Change(path, "default", values.at(pointer).toString(), "[\"other\"]"));
    }
  }

  @Test
  void aValueThatTheChartsSchemaTakesNoMoreIsTold() throws IOException {
    JsonNode values = YAML.readTree(CHART.resolve("values.yaml").toFile());
    JsonNode schema = YAML.readTree(CHART.resolve("values.schema.json").toFile());
    JsonNode less = schema.deepCopy();
    ((ObjectNode) less.at("/properties/runtime/properties/downloads/properties"))
        .remove("endpoint");
    assertThat(ReleaseComparison.values(values, values, schema, less))
        .containsExactly(
            new Change("values schema runtime.downloads.endpoint", "field", "there", "none"));
    // What several values refer to is compared for each of them.
    JsonNode narrower = schema.deepCopy();
    ((ObjectNode) narrower.at("/definitions/image/properties/reference")).put("maxLength", 1);
    assertThat(ReleaseComparison.values(values, values, schema, narrower))
        .contains(
            new Change("values schema operator.image.reference", "maxLength", "512", "1"),
            new Change("values schema runtime.image.reference", "maxLength", "512", "1"));
  }

  @Test
  void imagesAreEachReleasesOwn() throws IOException {
    JsonNode values = YAML.readTree(CHART.resolve("values.yaml").toFile());
    JsonNode schema = YAML.readTree(CHART.resolve("values.schema.json").toFile());
    JsonNode next = values.deepCopy();
    ((ObjectNode) next.at("/operator/image")).put("reference", "example.com/operator:0.2.0");
    assertThat(ReleaseComparison.values(values, next, schema, schema)).isEmpty();
  }

  private static void leaves(JsonNode node, String pointer, List<String> found) {
    if (node.isObject() && !node.isEmpty()) {
      node.properties()
          .forEach(field -> leaves(field.getValue(), pointer + "/" + field.getKey(), found));
    } else {
      found.add(pointer);
    }
  }

  private static boolean isRequired(ObjectNode node, String field) {
    for (JsonNode name : node.path("required")) {
      if (name.asText().equals(field)) {
        return true;
      }
    }
    return false;
  }

  private static String quoted(String text) {
    return '"' + text + '"';
  }
}
