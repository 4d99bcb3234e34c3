package dev.kvdrive.operator.desired;

import dev.kvdrive.api.v1alpha1.Tls;
import dev.kvdrive.feasibility.Assessment.Feasible;
import dev.kvdrive.feasibility.Quantities;
import dev.kvdrive.feasibility.Request;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.plan.WindowOptions;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/**
 * The runtime's whole configuration, by the names of its files: the properties that the command
 * line has too, and the chat template if the specification has one. The template has a file of its
 * own because it is text for nobody but its reader, not a value in which variables are replaced.
 */
final class RuntimeConfiguration {
  static final String FILE = "runtime.yaml";
  static final String CHAT_TEMPLATE = "chat-template.jinja";
  static final String DIRECTORY = "/etc/kvdrive";
  static final String API_KEYS_DIRECTORY = "/etc/kvdrive-keys";
  static final String API_KEYS_FILE = "api-keys";
  static final String TLS_DIRECTORY = "/etc/kvdrive-tls";
  static final String TLS_CERTIFICATE = "tls.crt";
  static final String TLS_KEY = "tls.key";
  static final String CLIENT_CA_DIRECTORY = "/etc/kvdrive-client-ca";
  static final String CLIENT_CA = "ca.crt";
  static final String MODEL_CACHE = "/var/lib/kvdrive/models";
  static final String MODEL_VOLUME = "/var/lib/kvdrive/model";
  static final String NVME = "/var/lib/kvdrive/nvme";

  private RuntimeConfiguration() {}

  /** The text of each file. */
  static Map<String, String> files(Feasible feasible) {
    Request request = feasible.request();
    Map<String, String> files = new LinkedHashMap<>();
    files.put(FILE, yaml(feasible));
    String template = request.model().chatTemplate();
    if (template != null) {
      files.put(CHAT_TEMPLATE, template);
    }
    return files;
  }

  private static String yaml(Feasible feasible) {
    Request request = feasible.request();
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("uri", modelUri(request));
    model.put("cache-dir", MODEL_CACHE);
    if (request.model().chatTemplate() != null) {
      model.put("chat-template", DIRECTORY + "/" + CHAT_TEMPLATE);
    }
    RopeScaling rope = Request.ropeScaling(request.model());
    if (rope != null) {
      Map<String, Object> scaling = new LinkedHashMap<>();
      scaling.put("type", rope.type().word());
      scaling.put("factor", rope.factor());
      if (rope.originalContext() != null) {
        scaling.put("original-context", rope.originalContext());
      }
      model.put("rope-scaling", scaling);
    }

    model.put("planned", planned(feasible));

    Map<String, Object> tiers = new LinkedHashMap<>();
    tiers.put("gpu-bytes", request.tiers().gpu());
    tiers.put("dram-bytes", request.tiers().dram());
    tiers.put("nvme-bytes", request.tiers().nvme());
    if (request.tiers().nvme() > 0) {
      tiers.put("nvme-dir", NVME);
    }
    if (request.tiers().nvmeWritesPerDay() > 0) {
      tiers.put("nvme-writes-per-day", request.tiers().nvmeWritesPerDay());
    }
    if (request.tiers().nvmeEncryption().encrypts()) {
      tiers.put("nvme-encryption", request.tiers().nvmeEncryption().word());
    }

    Map<String, Object> kvdrive = new LinkedHashMap<>();
    kvdrive.put("model", model);
    kvdrive.put("served-model-name", request.servedModelName());
    kvdrive.put("context-length", request.contextLength());
    kvdrive.put("concurrency", request.concurrency());
    if (request.budget().quality() == null) {
      kvdrive.put("budget", request.budget().share());
    } else {
      kvdrive.put("quality", request.budget().quality());
      kvdrive.put("budget-bound", request.budget().share());
    }
    if (request.denseBelow() != null) {
      kvdrive.put("dense-below", request.denseBelow());
    }
    kvdrive.put("policy", request.policy());
    if (request.index() != null) {
      kvdrive.put("index", request.index().word());
    }
    kvdrive.put("device", request.device().word());
    kvdrive.put("kv-type", request.kvType().name().toLowerCase(Locale.ROOT));
    kvdrive.put("resident", request.formats().resident().word());
    kvdrive.put("backing", request.formats().backing().word());
    if (request.meter() != null) {
      kvdrive.put("meter", request.meter());
    }
    WindowOptions windows = request.windows();
    kvdrive.put(
        "windows",
        Map.of(
            "division",
            windows.division().name().toLowerCase(Locale.ROOT),
            "warm-up",
            windows.warmUpTokens(),
            "prefetch",
            windows.prefetch()));
    kvdrive.put("tiers", tiers);
    kvdrive.put("queue-limit", request.queueLimit());
    kvdrive.put("keep-prompts", request.keepPrompts());
    kvdrive.put("drain-timeout", request.drainSeconds() + "s");
    if (request.access().apiKeysSecret() != null) {
      kvdrive.put("api-keys-file", API_KEYS_DIRECTORY + "/" + API_KEYS_FILE);
    }
    if (Boolean.TRUE.equals(request.access().ui())) {
      kvdrive.put("http", Map.of("ui", true));
    }
    if (request.pod().cpu() != null) {
      kvdrive.put("threads", threads(request));
    }
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("kvdrive", kvdrive);
    Tls tls = request.access().tls();
    if (tls != null) {
      kvdrive.put("tls", tls(tls));
      all.put("server", Map.of("port", DesiredObjects.TLS_RUNTIME_PORT));
    }
    all.putAll(new RuntimeTraces(request).settings());
    return Serialization.asYaml(all);
  }

  private static Map<String, Object> tls(Tls wanted) {
    Map<String, Object> tls = new LinkedHashMap<>();
    tls.put("certificate", TLS_DIRECTORY + "/" + TLS_CERTIFICATE);
    tls.put("key", TLS_DIRECTORY + "/" + TLS_KEY);
    if (wanted.clientCaSecret() != null) {
      tls.put("client-ca", CLIENT_CA_DIRECTORY + "/" + CLIENT_CA);
    }
    tls.put("health-port", DesiredObjects.RUNTIME_PORT);
    return tls;
  }

  /** The sizes nobody has compared with the model's file yet; the runtime does. */
  private static Map<String, Object> planned(Feasible feasible) {
    ModelGeometry geometry = feasible.plan().request().model();
    Map<String, Object> planned = new LinkedHashMap<>();
    planned.put("layers", geometry.layers());
    planned.put("hidden", geometry.hidden());
    planned.put("heads", geometry.heads());
    planned.put("kv-heads", geometry.kvHeads());
    planned.put("head-dim", geometry.headDim());
    planned.put("feed-forward", geometry.feedForward());
    planned.put("vocabulary", geometry.vocabulary());
    planned.put("weight-bytes", geometry.weightBytes());
    planned.put("gpu-weight-bytes", geometry.weightBytes(DeviceKind.CUDA));
    planned.put("stated-in", feasible.geometrySource());
    return planned;
  }

  /** A short hash of a configuration. */
  static String hash(Map<String, String> files) {
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      // No byte of a text in UTF-8 is 0xff.
      files.forEach(
          (name, text) -> {
            if (!name.equals(FILE)) {
              sha.update((byte) 0xff);
            }
            sha.update(text.getBytes(StandardCharsets.UTF_8));
          });
      return HexFormat.of().formatHex(sha.digest(), 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  private static String modelUri(Request request) {
    return request.modelPath().map(path -> MODEL_VOLUME + path).orElse(request.model().uri());
  }

  private static int threads(Request request) {
    return Quantities.processors("cpu", Objects.requireNonNull(request.pod().cpu()));
  }
}
