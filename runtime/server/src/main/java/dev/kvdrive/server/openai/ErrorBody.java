package dev.kvdrive.server.openai;

import com.fasterxml.jackson.annotation.JsonInclude;
import org.jspecify.annotations.Nullable;

/** {@code {"error": {...}}}. */
public record ErrorBody(Detail error) {
  /**
   * The error.
   *
   * @param message for a person
   * @param type family of the error
   * @param param the field at fault, as a path such as {@code messages[0].content}
   * @param code for a program, one of a fixed set of words
   */
  @JsonInclude(JsonInclude.Include.ALWAYS)
  public record Detail(String message, String type, @Nullable String param, String code) {}
}
