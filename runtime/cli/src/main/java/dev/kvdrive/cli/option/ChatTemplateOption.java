package dev.kvdrive.cli.option;

import dev.kvdrive.text.ChatTemplateException;
import dev.kvdrive.text.Tokenizers;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/** A chat template in place of the one that comes with a model. */
public final class ChatTemplateOption {
  private static final String NAME = "--chat-template";
  private static final String SETTING = "kvdrive.model.chat-template";

  /** The setting of the runtime that the option stands for, and the option. */
  static final Map<String, String> FLAGS = Map.of(SETTING, NAME);

  @Option(
      names = NAME,
      paramLabel = "FILE",
      description = "Chat template in Jinja, in place of the model's own.")
  private @Nullable Path file;

  /** The setting of the runtime, if the option was given. */
  public Map<String, String> settings() {
    return file == null ? Map.of() : Map.of(SETTING, file.toString());
  }

  /**
   * What is in the file, or null if none was given.
   *
   * @throws ParameterException of the command if it cannot be read
   */
  public @Nullable String source(CommandSpec spec) {
    if (file == null) {
      return null;
    }
    try {
      return Tokenizers.templateSource(file);
    } catch (ChatTemplateException e) {
      throw new ParameterException(
          spec.commandLine(), "%s %s: %s".formatted(NAME, file, e.getMessage()), e);
    }
  }
}
