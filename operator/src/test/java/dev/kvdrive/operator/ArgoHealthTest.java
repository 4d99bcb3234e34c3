package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.luaj.vm2.Globals;
import org.luaj.vm2.LuaTable;
import org.luaj.vm2.LuaValue;
import org.luaj.vm2.lib.jse.JsePlatform;

/** The health check that the example gives Argo CD. */
class ArgoHealthTest {
  private static final Path EXAMPLE = Path.of("../examples/gitops/argocd/health.yaml");
  private static final String KEY =
      "resource.customizations.health.kvdrive.dev_InferenceDeployment";

  @Test
  void withoutAStatusItProgresses() {
    assertThat(health(Map.of("metadata", Map.of("generation", 1)))).isEqualTo("Progressing");
  }

  @ParameterizedTest
  @CsvSource({
    "2, 1, Ready,       True,  Progressing",
    "2, 2, Ready,       True,  Healthy",
    "2, 2, Ready,       False, Progressing",
    "2, 2, Stalled,     True,  Degraded",
    "2, 2, Reconciling, True,  Progressing"
  })
  void followsTheConditions(
      int generation, int observed, String type, String status, String expected) {
    assertThat(
            health(
                Map.of(
                    "metadata",
                    Map.of("generation", generation),
                    "status",
                    Map.of(
                        "observedGeneration",
                        observed,
                        "conditions",
                        List.of(Map.of("type", type, "status", status, "message", "because"))))))
        .isEqualTo(expected);
  }

  private static String health(Map<String, Object> object) {
    Globals lua = JsePlatform.standardGlobals();
    lua.set("obj", value(object));
    LuaValue result = lua.load(script()).call();
    assertThat(result.get("message").isstring()).isTrue();
    return result.get("status").tojstring();
  }

  private static String script() {
    try {
      return Objects.requireNonNull(
          new KubernetesSerialization()
              .unmarshal(Files.readString(EXAMPLE), ConfigMap.class)
              .getData()
              .get(KEY));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static LuaValue value(Object object) {
    return switch (object) {
      case Map<?, ?> map -> {
        LuaTable table = new LuaTable();
        map.forEach((key, entry) -> table.set(key.toString(), value(entry)));
        yield table;
      }
      case List<?> list -> {
        LuaTable table = new LuaTable();
        for (int i = 0; i < list.size(); i++) {
          table.set(i + 1, value(list.get(i)));
        }
        yield table;
      }
      case Integer number -> LuaValue.valueOf(number);
      default -> LuaValue.valueOf(object.toString());
    };
  }
}
