package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Rules and dashboard ask for what there is: a name that nothing reports alerts never. */
class MonitoringTest {
  private static final Pattern METRIC = Pattern.compile("(?<![:\\w])kvdrive_\\w+");
  private static final Pattern RECORD = Pattern.compile("inference_deployment:[\\w:]+");
  private static final Pattern SERIES = Pattern.compile("_(bucket|sum|count)$");
  private static final int GRID = 24;

  private final KubernetesSerialization serialization = new KubernetesSerialization();

  /** All that are documented, which other tests hold to what is reported. */
  private static Set<String> documented() throws IOException {
    return names(
        Pattern.compile("(?<=^\\| `)kvdrive_[^`]+", Pattern.MULTILINE),
        Files.readString(Path.of("../docs/metrics.md")));
  }

  private static Set<String> names(Pattern pattern, String text) {
    return pattern
        .matcher(text)
        .results()
        .map(found -> SERIES.matcher(found.group()).replaceFirst(""))
        .collect(Collectors.toCollection(TreeSet::new));
  }

  private JsonNode rules(String... values) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--show-only",
                "templates/prometheusrule.yaml",
                "--set",
                "monitoring.rules.enabled=true"));
    arguments.addAll(List.of(values));
    GenericKubernetesResource rule =
        serialization.unmarshal(
            Helm.template("kvdrive", "kvdrive-system", arguments.toArray(String[]::new)),
            GenericKubernetesResource.class);
    return new ObjectMapper().valueToTree(rule.getAdditionalProperties().get("spec"));
  }

  private JsonNode dashboard() throws IOException {
    ConfigMap map =
        serialization.unmarshal(
            Helm.template(
                "kvdrive",
                "kvdrive-system",
                "--show-only",
                "templates/dashboard.yaml",
                "--set",
                "monitoring.dashboard.enabled=true"),
            ConfigMap.class);
    return new ObjectMapper().readTree(map.getData().get("kvdrive.json"));
  }

  @Test
  void everyRuleAsksForMetricsThatAreDocumentedAndRatesThatAreRecorded() throws IOException {
    Set<String> documented = documented();
    Set<String> recorded = new HashSet<>();
    Set<String> asked = new HashSet<>();
    int alerts = 0;
    for (JsonNode group : rules().path("groups")) {
      for (JsonNode rule : group.path("rules")) {
        String expression = rule.path("expr").asText();
        String name = rule.path("alert").asText();
        assertThat(documented).as(expression).containsAll(names(METRIC, expression));
        asked.addAll(names(RECORD, expression));
        if (rule.has("record")) {
          assertThat(recorded.add(rule.path("record").asText())).isTrue();
        } else {
          alerts++;
          assertThat(names(METRIC, expression).size() + names(RECORD, expression).size())
              .as(name)
              .isPositive();
          assertThat(rule.at("/labels/severity").asText())
              .as(name)
              .isIn("info", "warning", "critical");
          assertThat(rule.at("/annotations/summary").asText()).as(name).contains("$labels");
          assertThat(rule.at("/annotations/description").asText()).as(name).isNotBlank();
        }
      }
    }
    assertThat(asked).isEqualTo(recorded);
    assertThat(alerts).isGreaterThan(10);
  }

  /** Prometheus itself evaluates the rules, where its promtool is on the path. */
  @Test
  void alertsFireWhenTheyShould(@TempDir Path folder) throws Exception {
    Files.writeString(folder.resolve("rules.yaml"), rules().toString());
    Path cases = folder.resolve("rules-test.yaml");
    try (InputStream in = MonitoringTest.class.getResourceAsStream("/rules-test.yaml")) {
      Files.copy(Objects.requireNonNull(in), cases);
    }
    Process promtool;
    try {
      promtool =
          new ProcessBuilder("promtool", "test", "rules", cases.toString())
              .redirectErrorStream(true)
              .start();
    } catch (IOException e) {
      abort("promtool is not on the path");
      return;
    }
    String said = new String(promtool.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(promtool.waitFor()).as(said).isZero();
  }

  @Test
  void everyAlertIsDocumented() throws IOException {
    Set<String> documented =
        names(
            Pattern.compile("(?<=^\\| `)Kvdrive\\w+", Pattern.MULTILINE),
            Files.readString(Path.of("../docs/metrics.md")));
    Set<String> there = new TreeSet<>();
    for (JsonNode group : rules().path("groups")) {
      group
          .path("rules")
          .forEach(
              rule -> {
                if (rule.has("alert")) {
                  there.add(rule.path("alert").asText());
                }
              });
    }
    assertThat(there).isEqualTo(documented);
  }

  @Test
  void everyPanelAsksForMetricsThatAreDocumented() throws IOException {
    Set<String> documented = documented();
    Set<Integer> ids = new HashSet<>();
    int panels = 0;
    for (JsonNode panel : dashboard().path("panels")) {
      String title = panel.path("title").asText();
      assertThat(ids.add(panel.path("id").asInt())).as(title).isTrue();
      if (panel.path("type").asText().equals("row")) {
        continue;
      }
      panels++;
      assertThat(panel.path("description").asText()).as(title).isNotBlank();
      assertThat(panel.path("targets").size()).as(title).isPositive();
      for (JsonNode target : panel.path("targets")) {
        String expression = target.path("expr").asText();
        assertThat(names(METRIC, expression)).as(title).isNotEmpty();
        assertThat(documented).as(expression).containsAll(names(METRIC, expression));
        assertThat(target.at("/datasource/uid").asText()).isEqualTo("${datasource}");
        assertThat(expression).as(title).contains("namespace=~\"$namespace\"");
      }
    }
    assertThat(panels).isGreaterThan(15);
  }

  @Test
  void panelsFillTheGridAndLieOnNoOther() throws IOException {
    Set<List<Integer>> taken = new HashSet<>();
    for (JsonNode panel : dashboard().path("panels")) {
      JsonNode at = panel.path("gridPos");
      int x = at.path("x").asInt();
      int y = at.path("y").asInt();
      assertThat(x + at.path("w").asInt()).isLessThanOrEqualTo(GRID);
      IntStream.range(x, x + at.path("w").asInt())
          .forEach(
              column ->
                  IntStream.range(y, y + at.path("h").asInt())
                      .forEach(
                          line ->
                              assertThat(taken.add(List.of(column, line)))
                                  .as(panel.path("title").asText())
                                  .isTrue()));
    }
    int lines = taken.stream().mapToInt(List::getLast).max().orElse(0) + 1;
    assertThat(taken).hasSize(GRID * lines);
  }
}
