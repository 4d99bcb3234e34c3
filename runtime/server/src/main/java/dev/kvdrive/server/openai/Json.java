package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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
 * Reads request bodies strictly (nothing is coerced, nothing unknown is skipped) and tells the
 * caller which field is at fault; writes answers without null fields.
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
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .addModule(new SimpleModule().addDeserializer(Long.class, new IntegerReader()))
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
      throw ApiException.unknownField(path(e));
    } catch (OutOfRange e) {
      String path = path(e);
      throw ApiException.invalid(path, "invalid_value", "Invalid '%s': %s".formatted(path, e.why));
    } catch (StreamConstraintsException e) {
      throw ApiException.invalid(
          null,
          "invalid_json",
          "The JSON body exceeds a limit%s: at most %d levels of nesting, numbers of %d characters, names of %d and strings of %d."
              .formatted(
                  place(e), MAX_NESTING, MAX_NUMBER_LENGTH, MAX_NAME_LENGTH, maxStringLength));
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
          "Invalid value for '%s'.".formatted(path.isEmpty() ? "body" : path));
    } catch (JacksonException e) {
      throw ApiException.invalid(
          null,
          "invalid_json",
          "The body is not valid JSON%s: %s.".formatted(place(e), wrong(e, body)));
    }
    if (value == null) {
      throw ApiException.invalid(
          null, "invalid_type", "Invalid type for 'body': expected an object, got null.");
    }
    return value;
  }

  /** An integer that has no place in 64 bits, or is none. */
  private static final class OutOfRange extends DatabindException {
    final String why;

    OutOfRange(JsonParser parser, String why) {
      super(parser, why);
      this.why = why;
    }
  }

  /** Reads integers, also those that a client writes as {@code 16.0}. */
  private static final class IntegerReader extends StdScalarDeserializer<Long> {
    IntegerReader() {
      super(Long.class);
    }

    @Override
    public Long deserialize(JsonParser parser, DeserializationContext context) {
      JsonToken token = parser.currentToken();
      if (token != JsonToken.VALUE_NUMBER_INT && token != JsonToken.VALUE_NUMBER_FLOAT) {
        throw MismatchedInputException.from(parser, Long.class, "not a number");
      }
      // Not through a BigInteger: an exponent may ask for billions of digits.
      double rough = parser.getDoubleValue();
      if (token == JsonToken.VALUE_NUMBER_FLOAT && rough != Math.rint(rough)) {
        throw MismatchedInputException.from(parser, Long.class, "not an integer");
      }
      if (!(Math.abs(rough) < 1e19)) {
        throw outOfRange(parser);
      }
      try {
        return parser.getDecimalValue().longValueExact();
      } catch (ArithmeticException e) {
        throw outOfRange(parser);
      }
    }

    private static OutOfRange outOfRange(JsonParser parser) {
      return new OutOfRange(
          parser,
          "must be between %d and %d, got %s."
              .formatted(Long.MIN_VALUE, Long.MAX_VALUE, parser.getString()));
    }
  }

  private static String place(JacksonException error) {
    TokenStreamLocation at = error.getLocation();
    return at == null || at.getLineNr() < 1
        ? ""
        : " (line %d, column %d)".formatted(at.getLineNr(), at.getColumnNr());
  }

  /** What is wrong with a body that cannot be read. */
  private static String wrong(JacksonException error, byte[] body) {
    if (!isUtf8(body)) {
      return "it is not encoded in UTF-8";
    }
    if (error instanceof UnexpectedEndOfInputException) {
      return "it ends too early";
    }
    String words = String.valueOf(error.getOriginalMessage());
    Matcher twice = TWICE.matcher(words);
    return twice.find() ? "the field '" + twice.group(1) + "' is there twice" : "unexpected text";
  }

  private static boolean isUtf8(byte[] body) {
    try {
      StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(body));
      return true;
    } catch (CharacterCodingException e) {
      return false;
    }
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
