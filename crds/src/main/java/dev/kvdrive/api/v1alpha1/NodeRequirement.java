package dev.kvdrive.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Pattern;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a label of a node must be; as in Kubernetes' node affinity. */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
@ValidationRule(
    value =
        "self.operator in ['Exists', 'DoesNotExist'] ? (!has(self.values) || size(self.values) == 0)"
            + " : (has(self.values) && (self.operator in ['In', 'NotIn'] ? size(self.values) > 0 :"
            + " (size(self.values) == 1 && self.values[0].matches('^-?[0-9]{1,18}$'))))",
    message = NodeRequirement.VALUES)
public record NodeRequirement(
    @Required
        @Size(min = 1, max = 317)
        @Pattern("^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
        @JsonPropertyDescription("Key of the label.")
        String key,
    @Required
        @JsonPropertyDescription(
            "In and NotIn compare with the values, Gt and Lt with one whole number; Exists and"
                + " DoesNotExist have none.")
        Operator operator,
    @Nullable @Size(max = 64) @JsonPropertyDescription("Values of the label.")
        List<String> values) {
  /** Which values go with which operator. */
  public static final String VALUES =
      "In and NotIn need values, Gt and Lt one whole number as text, Exists and DoesNotExist none";

  /** How a label is compared. */
  public enum Operator {
    @JsonProperty("In")
    IN("In"),
    @JsonProperty("NotIn")
    NOT_IN("NotIn"),
    @JsonProperty("Exists")
    EXISTS("Exists"),
    @JsonProperty("DoesNotExist")
    DOES_NOT_EXIST("DoesNotExist"),
    @JsonProperty("Gt")
    GT("Gt"),
    @JsonProperty("Lt")
    LT("Lt");

    private final String text;

    Operator(String text) {
      this.text = text;
    }

    /** As Kubernetes writes it. */
    public String text() {
      return text;
    }
  }

  /** Whether the operator has the values it needs. */
  public boolean hasItsValues() {
    List<String> given = values == null ? List.of() : values;
    return switch (operator) {
      case EXISTS, DOES_NOT_EXIST -> given.isEmpty();
      case IN, NOT_IN -> !given.isEmpty();
      case GT, LT -> given.size() == 1 && isWhole(given.getFirst());
    };
  }

  /** Whether a node with these labels is what is asked for, as the scheduler judges it. */
  public boolean matches(Map<String, String> labels) {
    String label = labels.get(key);
    List<String> given = values == null ? List.of() : values;
    return switch (operator) {
      case EXISTS -> label != null;
      case DOES_NOT_EXIST -> label == null;
      case IN -> label != null && given.contains(label);
      case NOT_IN -> label == null || !given.contains(label);
      case GT -> compares(label, given) && Long.parseLong(label) > Long.parseLong(given.getFirst());
      case LT -> compares(label, given) && Long.parseLong(label) < Long.parseLong(given.getFirst());
    };
  }

  private static boolean compares(@Nullable String label, List<String> given) {
    return label != null && isWhole(label) && given.size() == 1 && isWhole(given.getFirst());
  }

  private static boolean isWhole(String text) {
    return text.matches("-?[0-9]{1,18}");
  }
}
