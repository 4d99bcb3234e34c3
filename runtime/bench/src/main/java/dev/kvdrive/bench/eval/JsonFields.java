package dev.kvdrive.bench.eval;

import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.json.JsonFactory;

/** The fields of a JSON object somewhere in a text. */
final class JsonFields {
  private static final JsonFactory JSON = new JsonFactory();

  private JsonFields() {}

  /**
   * Names and values of the first object in a text, numbers as they are written. What surrounds it
   * does not matter; of an object that breaks off or is wrong from somewhere on, what comes before.
   * Values that are objects or arrays are left out.
   */
  static Map<String, String> of(String text) {
    Map<String, String> fields = new LinkedHashMap<>();
    int begin = text.indexOf('{');
    if (begin < 0) {
      return fields;
    }
    try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), text.substring(begin))) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
        String name = parser.currentName();
        if (parser.nextToken().isScalarValue()) {
          fields.putIfAbsent(name, parser.getString());
        } else {
          parser.skipChildren();
        }
      }
    } catch (JacksonException e) {
      // The model's mistake: what it wrote before counts.
    }
    return fields;
  }
}
