package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.exc.UnexpectedEndOfInputException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DatabindException;
import tools.jackson.databind.DeserializationContext;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.PropertyNamingStrategies;
import tools.jackson.databind.cfg.CoercionAction;
import tools.jackson.databind.cfg.CoercionInputShape;
import tools.jackson.databind.deser.std.StdScalarDeserializer;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.module.SimpleModule;
import tools.jackson.databind.type.LogicalType;

/**
 * Reads request bodies strictly (UTF-8 alone, nothing is coerced, nothing unknown is skipped) and
 * tells the caller which field is at fault; writes answers without null fields.
 */
public final class Json {
  private static final int MAX_NESTING = 64;
  private static final int MAX_NUMBER_LENGTH = 100;
  private static final int MAX_NAME_LENGTH = 1000;

  private static final Pattern TWICE = Pattern.compile("Duplicate Object property \"([^\"]*)\"");

  private final JsonMapper mapper;
  private final int maxStringLength;

  /**
   * @param maxStringLength chars of one string; no more than the body may have
   */
  public Json(int maxStringLength) {
    this.maxStringLength = maxStringLength;
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
            .disable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .addModule(
                new SimpleModule()
                    .addDeserializer(
                        WholeNumber.class, new NumberReader<>(WholeNumber.class, WholeNumber::new))
                    .addDeserializer(
                        RealNumber.class, new NumberReader<>(RealNumber.class, RealNumber::new)))
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
    BodyText.check(body);
    T value;
    try (JsonParser parser = mapper.createParser(body)) {
      value = value(parser, type);
      if (parser.nextToken() != null) {
        throw ApiException.invalid(
            null,
            "invalid_json",
            "The body goes on behind its JSON value%s; send one JSON object in each request."
                .formatted(place(parser.currentTokenLocation())));
      }
    } catch (StreamConstraintsException e) {
      throw ApiException.invalid(
          null,
          "invalid_json",
          "The JSON body exceeds a limit%s: %s.".formatted(place(e), limit(e)));
    } catch (DatabindException e) {
      String path = path(e);
      throw ApiException.invalid(
          path.isEmpty() ? null : path,
          "invalid_value",
          "Invalid value for '%s'.".formatted(path.isEmpty() ? "body" : path));
    } catch (JacksonException e) {
      throw ApiException.invalid(
          null, "invalid_json", "The body is not valid JSON%s: %s.".formatted(place(e), wrong(e)));
    }
    if (value == null) {
      throw ApiException.invalid(
          null, "invalid_type", "Invalid type for 'body': expected an object, got null.");
    }
    return value;
  }

  /** The limit that was passed; the parser tells only by its words which. */
  private String limit(StreamConstraintsException e) {
    String words = String.valueOf(e.getOriginalMessage());
    return words.startsWith("Document nesting")
        ? "at most %d levels of nesting".formatted(MAX_NESTING)
        : words.startsWith("Number")
            ? "a number has at most %d characters".formatted(MAX_NUMBER_LENGTH)
            : words.startsWith("Name")
                ? "a name has at most %d characters".formatted(MAX_NAME_LENGTH)
                : "a string has at most %d characters".formatted(maxStringLength);
  }

  /** Null for a body that is null. */
  private <T> @Nullable T value(JsonParser parser, Class<T> type) {
    try {
      return mapper.readValue(parser, type);
    } catch (UnrecognizedPropertyException e) {
      throw ApiException.unknownField(path(e));
    } catch (MismatchedInputException e) {
      throw FieldCheck.type(path(e), expected(e.getTargetType()), parser);
    }
  }

  /** Keeps a number as it is written. */
  private static final class NumberReader<T> extends StdScalarDeserializer<T> {
    private final Function<String, T> made;

    NumberReader(Class<T> type, Function<String, T> made) {
      super(type);
      this.made = made;
    }

    @Override
    public T deserialize(JsonParser parser, DeserializationContext context) {
      JsonToken token = parser.currentToken();
      if (token != JsonToken.VALUE_NUMBER_INT && token != JsonToken.VALUE_NUMBER_FLOAT) {
        throw MismatchedInputException.from(parser, handledType(), "not a number");
      }
      return made.apply(parser.getString());
    }
  }

  private static String place(JacksonException error) {
    return place(error.getLocation());
  }

  private static String place(@Nullable TokenStreamLocation at) {
    return at == null || at.getLineNr() < 1
        ? ""
        : " (line %d, column %d)".formatted(at.getLineNr(), at.getColumnNr());
  }

  /** What is wrong with a body that cannot be read. */
  private static String wrong(JacksonException error) {
    if (error instanceof UnexpectedEndOfInputException) {
      return "it ends too early";
    }
    String words = String.valueOf(error.getOriginalMessage());
    Matcher twice = TWICE.matcher(words);
    return twice.find() ? "the field '" + twice.group(1) + "' is there twice" : "unexpected text";
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
    if (type == WholeNumber.class || type == Integer.class) {
      return "an integer";
    }
    if (type == RealNumber.class) {
      return "a number";
    }
    if (List.class.isAssignableFrom(type)) {
      return "an array";
    }
    return Map.class.isAssignableFrom(type) || type.isRecord() ? "an object" : "another type";
  }
}
