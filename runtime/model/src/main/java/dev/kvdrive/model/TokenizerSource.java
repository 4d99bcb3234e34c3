package dev.kvdrive.model;

import java.nio.file.Path;
import java.util.Map;

/** Where the tokenizer and the chat template of a model are. */
public sealed interface TokenizerSource {
  /** A Hugging Face folder with tokenizer.json and its companions. */
  record Folder(Path folder) implements TokenizerSource {}

  /**
   * The metadata of a GGUF file.
   *
   * @param metadata values as {@link dev.kvdrive.model.gguf.GgufMetadata#asMap} gives them
   */
  record Gguf(Map<String, Object> metadata) implements TokenizerSource {}
}
