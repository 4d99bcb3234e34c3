package dev.kvdrive.bench.engine;

import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.TokenizerSource;
import dev.kvdrive.plan.ModelGeometry;
import dev.kvdrive.plan.RopeScaling;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.Tokenizers;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A model on this machine, and what is to be different from its files.
 *
 * @param file GGUF file or folder
 * @param scaling extends its context; null leaves it as it is
 * @param template source of a chat template that takes the place of its own; null for its own
 */
public record LocalModel(Path file, @Nullable RopeScaling scaling, @Nullable String template) {
  /** The model as its files are. */
  public static LocalModel of(Path file) {
    return new LocalModel(file, null, null);
  }

  /**
   * Its sizes, from headers alone.
   *
   * @throws IllegalArgumentException if its context is to be extended and cannot be
   */
  public ModelGeometry geometry() {
    return ModelLoader.geometry(file).extended(scaling);
  }

  /**
   * Opens it; the caller closes it.
   *
   * @param contextLength tokens that will be served at most; 0 for all that it can serve
   */
  public Model open(int contextLength, ModelLoader.Verification verification) {
    return ModelLoader.open(file, contextLength, scaling, verification);
  }

  /** The chat template to use, if there is any. */
  public Optional<ChatTemplate> template(TokenizerSource source) {
    return switch (source) {
      case TokenizerSource.Folder folder -> Tokenizers.chatTemplate(folder.folder(), template);
      case TokenizerSource.Gguf gguf -> Tokenizers.chatTemplate(gguf.metadata(), template);
    };
  }
}
