package dev.kvdrive.feasibility;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.kvdrive.api.v1alpha1.InferenceDeployment;
import dev.kvdrive.api.v1alpha1.KubernetesNames;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * The schema of one custom resource, as the API server has it: what it says about a manifest under
 * strict validation, without an API server. Rules across fields (CEL) are not evaluated.
 */
public final class Definition {
  private static final int SHOWN_CHARS = 60;
  private static final int MAX_OBJECT_NAME = 253;
  private static final int MAX_LABEL = 63;

  private final JsonNode schema;

  private Definition(JsonNode schema) {
    this.schema = schema;
  }

  /**
   * The definition of this build.
   *
   * @param plural for instance {@code inferencedeployments}
   */
  public static Definition of(String plural) {
    String resource = plural + "." + InferenceDeployment.GROUP + ".yaml";
    try (InputStream in = InferenceDeployment.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException(resource + " is missing from this build");
      }
      return new Definition(
          new YAMLMapper().readTree(in).at("/spec/versions/0/schema/openAPIV3Schema"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Everything that is wrong with a manifest, one sentence each. */
  List<String> faults(JsonNode object) {
    return faults(object, true);
  }

  /**
   * What is wrong with an object that an API server stored, one sentence each. It may have been
   * checked against another version of the definition: fields that this one does not know are none
   * of its concern.
   */
  public List<String> faultsOfStored(JsonNode object) {
    return faults(object, false);
  }

  private List<String> faults(JsonNode object, boolean strict) {
    Check check = new Check(strict);
    object
        .properties()
        .forEach(
            field -> {
              // These three are Kubernetes' own, and what is stored has a status of the operator's.
              if (!List.of("apiVersion", "kind", "metadata").contains(field.getKey())
                  && (strict || !field.getKey().equals("status"))) {
                check.field("", field.getKey(), field.getValue(), schema);
              }
            });
    check.required("", object, schema);
    if (strict) {
      names(object.path("metadata"), check.faults);
    }
    return check.faults;
  }

  /**
   * Whether the API server takes name and namespace: rules that no schema but that of names has.
   */
  private void names(JsonNode metadata, List<String> faults) {
    JsonNode own = schema.at("/properties/metadata/properties/name");
    JsonNode name = metadata.path("name");
    if (name.isMissingNode() || name.isNull() || (name.isTextual() && name.asText().isEmpty())) {
      faults.add("metadata.name is missing");
    } else if (own.isObject()) {
      form(
          "metadata.name",
          name,
          own.path("pattern").asText(),
          own.path("maxLength").asInt(),
          "lower-case letters, digits and '-', a letter first and no '-' last",
          faults);
    } else {
      form(
          "metadata.name",
          name,
          KubernetesNames.OBJECT,
          MAX_OBJECT_NAME,
          "lower-case letters, digits, '-' and '.', with a letter or digit at both ends and beside each '.'",
          faults);
    }
    JsonNode namespace = metadata.path("namespace");
    if (!namespace.isMissingNode() && !namespace.isNull()) {
      namespace("metadata.namespace", namespace, faults);
    }
  }

  /** Whether a namespace can have that name. */
  static void namespace(String what, JsonNode name, List<String> faults) {
    form(
        what,
        name,
        KubernetesNames.LABEL,
        MAX_LABEL,
        "lower-case letters, digits and '-', with a letter or digit at both ends",
        faults);
  }

  private static void form(
      String what, JsonNode name, String pattern, int most, String rule, List<String> faults) {
    if (!name.isTextual()) {
      faults.add(type(what, "a string", name) + "; put it into quotes");
    } else if (name.asText().length() > most || !name.asText().matches(pattern)) {
      faults.add(
          "%s: %s cannot be a name: it is up to %d %s"
              .formatted(what, shown(name.asText()), most, rule));
    }
  }

  /** One walk over an object. */
  private static final class Check {
    private final List<String> faults = new ArrayList<>();
    private final boolean strict;

    Check(boolean strict) {
      this.strict = strict;
    }

    void field(String parent, String name, JsonNode value, JsonNode schema) {
      String path = parent.isEmpty() ? name : parent + "." + name;
      JsonNode known = schema.path("properties").path(name);
      if (known.isMissingNode()) {
        known = schema.path("additionalProperties");
      }
      if (known.isObject()) {
        value(path, value, known);
      } else if (strict) {
        List<String> names = new ArrayList<>();
        schema.path("properties").fieldNames().forEachRemaining(names::add);
        faults.add("%s: there is no such field; known are %s".formatted(path, names));
      }
    }

    void required(String path, JsonNode object, JsonNode schema) {
      for (JsonNode name : schema.path("required")) {
        if (!object.hasNonNull(name.asText())) {
          faults.add(
              "%s is missing"
                  .formatted(path.isEmpty() ? name.asText() : path + "." + name.asText()));
        }
      }
    }

    void value(String path, JsonNode value, JsonNode schema) {
      if (value.isNull()) {
        return; // as if it were not there
      }
      if (schema.path("x-kubernetes-int-or-string").asBoolean()) {
        if (!value.isTextual() && !value.isIntegralNumber()) {
          faults.add(type(path, "an integer or a string", value) + "; " + quantities(path));
          return;
        }
      } else {
        String wanted = schema.path("type").asText();
        if (!isOfType(value, wanted)) {
          faults.add(type(path, article(wanted), value));
          return;
        }
      }
      if (value.isObject()) {
        bounds(path, "entries", value.size(), schema, "minProperties", "maxProperties");
        value.properties().forEach(f -> field(path, f.getKey(), f.getValue(), schema));
        required(path, value, schema);
      } else if (value.isArray()) {
        int i = 0;
        for (JsonNode item : value) {
          value("%s[%d]".formatted(path, i++), item, schema.path("items"));
        }
        bounds(path, "entries", value.size(), schema, "minItems", "maxItems");
      } else {
        scalar(path, value, schema);
      }
    }

    void scalar(String path, JsonNode value, JsonNode schema) {
      if (value.isNumber()) {
        if (schema.has("minimum") && value.asDouble() < schema.path("minimum").asDouble()) {
          faults.add(
              "%s must be at least %s, got %s"
                  .formatted(path, schema.path("minimum").asText(), value.asText()));
        }
        if (schema.has("maximum") && value.asDouble() > schema.path("maximum").asDouble()) {
          faults.add(
              "%s must be at most %s, got %s"
                  .formatted(path, schema.path("maximum").asText(), value.asText()));
        }
      }
      String text = value.asText();
      if (value.isTextual()) {
        // As the API server counts them: a character beyond the 16 bits of a char is one.
        int characters = text.codePointCount(0, text.length());
        bounds(path, "characters", characters, schema, "minLength", "maxLength");
      }
      if (schema.has("pattern")
          && !Pattern.compile(schema.path("pattern").asText()).matcher(text).find()) {
        faults.add(
            schema.path("x-kubernetes-int-or-string").asBoolean()
                ? "%s: %s is no quantity of Kubernetes; %s%s"
                    .formatted(path, shown(text), quantities(path), meaning(schema))
                : "%s: %s does not have the form %s".formatted(path, shown(text), form(schema)));
      }
      if (schema.has("enum")) {
        List<String> allowed = new ArrayList<>();
        schema.path("enum").forEach(one -> allowed.add(one.asText()));
        if (!allowed.contains(text)) {
          faults.add("%s must be one of %s, got %s".formatted(path, allowed, shown(text)));
        }
      }
    }

    void bounds(String path, String unit, int size, JsonNode schema, String least, String most) {
      if (schema.has(least) && size < schema.path(least).asInt()) {
        faults.add(
            "%s must have at least %d %s, got %d"
                .formatted(path, schema.path(least).asInt(), unit, size));
      }
      if (schema.has(most) && size > schema.path(most).asInt()) {
        faults.add(
            "%s must have at most %d %s, got %d"
                .formatted(path, schema.path(most).asInt(), unit, size));
      }
    }
  }

  /** What a field is for, which says more of what to write there than its form does. */
  private static String meaning(JsonNode schema) {
    String words = schema.path("description").asText();
    return words.isEmpty() ? "" : " (" + words.replaceFirst("\\.$", "") + ")";
  }

  /** What to write: in the words of its description where these say it, and else the pattern. */
  private static String form(JsonNode schema) {
    String words = schema.path("description").asText();
    return words.contains("for instance") || words.contains("://")
        ? "of what belongs there: " + words.replaceFirst("\\.$", "")
        : schema.path("pattern").asText() + meaning(schema);
  }

  /** What to write in a field of a quantity: all are bytes, but for processors. */
  private static String quantities(String path) {
    return path.endsWith("cpu")
        ? "write for instance 4 or 500m"
        : "write a number and its unit, for instance 64Mi or 1.5Gi";
  }

  private static boolean isOfType(JsonNode value, String type) {
    return switch (type) {
      case "object" -> value.isObject();
      case "array" -> value.isArray();
      case "string" -> value.isTextual();
      case "integer" -> value.isIntegralNumber();
      case "number" -> value.isNumber();
      case "boolean" -> value.isBoolean();
      default -> true;
    };
  }

  private static String article(String type) {
    return switch (type) {
      case "object", "array", "integer" -> "an " + type;
      default -> "a " + type;
    };
  }

  private static String type(String path, String wanted, JsonNode value) {
    return "%s must be %s, got %s".formatted(path, wanted, shown(value.toString()));
  }

  private static String shown(String text) {
    String cut = text.length() <= SHOWN_CHARS ? text : text.substring(0, SHOWN_CHARS) + "...";
    return "'" + cut.replaceAll("\\p{Cntrl}", "?") + "'";
  }
}
