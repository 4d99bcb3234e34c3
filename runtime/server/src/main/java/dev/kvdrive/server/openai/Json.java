package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.exc.StreamReadException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DatabindException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.cfg.CoercionAction;
import tools.jackson.databind.cfg.CoercionInputShape;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.type.LogicalType;

/**
 * Reads request bodies strictly (nothing is coerced, nothing unknown is skipped) and tells the
 * caller which field is at fault; writes answers without null fields.
 */
public final class Json {
  private static final int MAX_NESTING = 64;
  private static final int MAX_NUMBER_LENGTH = 100;
  private static final int MAX_NAME_LENGTH = 1000;

  private final JsonMapper mapper;

  /**
   * @param maxStringLength chars of one string; no more than the body may have
   */
  public Json(int maxStringLength) {
    JsonFactory factory =
        JsonFactory.builder()
            .streamReadConstraints(
                StreamReadConstraints.builder()
                    .maxNestingDepth(MAX_NESTING)
                    .maxNumberLength(MAX_NUMBER_LENGTH)
                    .maxNameLength(MAX_NAME_LENGTH)
                    .maxStringLength(maxStringLength)
                    .build())
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();
    this.mapper =
        JsonMapper.builder(factory)
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .withCoercionConfig(
                LogicalType.Textual,
                config ->
                    config
                        .setCoercion(CoercionInputShape.Integer, CoercionAction.Fail)
                        .setCoercion(CoercionInputShape.Float, CoercionAction.Fail)
                        .setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail))
            .changeDefaultPropertyInclusion(
                value -> value.withValueInclusion(JsonInclude.Include.NON_NULL))
            .build();
  }

  /** The answer's bytes, in UTF-8. */
  public byte[] write(Object value) {
    return mapper.writeValueAsBytes(value);
  }

  /**
   * The body as a {@code type}.
   *
   * @throws ApiException 400 with the field named
   */
  public <T> T read(byte[] body, Class<T> type) {
    if (body.length == 0) {
      throw ApiException.invalid(null, "invalid_json", "The body is empty; send a JSON object.");
    }
    T value;
    try {
      value = mapper.readValue(body, type);
    } catch (UnrecognizedPropertyException e) {
      String path = path(e);
      throw ApiException.invalid(
          path, "unknown_parameter", "Unknown parameter: '%s'.".formatted(path));
    } catch (StreamConstraintsException e) {
      throw ApiException.invalid(
          null, "invalid_json", "The JSON body exceeds a limit: " + e.getOriginalMessage());
    } catch (MismatchedInputException e) {
      String path = path(e);
      throw ApiException.invalid(
          path.isEmpty() ? null : path,
          "invalid_type",
          "Invalid type for '%s': expected %s."
              .formatted(path.isEmpty() ? "body" : path, expected(e.getTargetType())));
    } catch (DatabindException e) {
      String path = path(e);
      throw ApiException.invalid(
          path.isEmpty() ? null : path,
          "invalid_value",
          "Invalid value for '%s': %s".formatted(path, e.getOriginalMessage()));
    } catch (StreamReadException e) {
      throw ApiException.invalid(
          null,
          "invalid_json",
          "The body is not valid JSON (line %d, column %d): %s"
              .formatted(
                  e.getLocation().getLineNr(),
                  e.getLocation().getColumnNr(),
                  e.getOriginalMessage()));
    } catch (JacksonException e) {
      throw ApiException.invalid(
          null, "invalid_json", "The body is not valid JSON: " + e.getOriginalMessage());
    }
    if (value == null) {
      throw ApiException.invalid(
          null, "invalid_type", "Invalid type for 'body': expected an object, got null.");
    }
    return value;
  }

  private static String path(JacksonException error) {
    StringBuilder path = new StringBuilder();
    for (JacksonException.Reference step : error.getPath()) {
      String name = step.getPropertyName();
      if (name == null) {
        path.append('[').append(step.getIndex()).append(']');
      } else {
        path.append(path.isEmpty() ? "" : ".").append(name);
      }
    }
    return path.toString();
  }

  private static String expected(Class<?> type) {
    if (type == null) {
      return "another type";
    }
    if (type == String.class) {
      return "a string";
    }
    if (type == Boolean.class) {
      return "a boolean";
    }
    if (type == Integer.class || type == Long.class) {
      return "an integer";
    }
    if (Number.class.isAssignableFrom(type)) {
      return "a number";
    }
    if (List.class.isAssignableFrom(type)) {
      return "an array";
    }
    return Map.class.isAssignableFrom(type) || type.isRecord() ? "an object" : "another type";
  }
}
