package dev.kvdrive.cli.option;

import dev.kvdrive.model.source.ModelSource;

/** What a model is called in the API unless the user says otherwise: by the name people know. */
public final class ModelName {
  private ModelName() {}

  /**
   * The name in a model's address: {@code kvdrive-tiny-32k} of {@code builtin:kvdrive-tiny-32k},
   * {@code owner/name} of {@code hf://owner/name@revision/file.gguf}, {@code model} of {@code
   * some/path/model.gguf}.
   */
  public static String of(String uri) {
    if (uri.equals(ModelSource.BUILTIN)) {
      return uri.substring(uri.indexOf(':') + 1);
    }
    if (uri.startsWith("hf://")) {
      String[] parts = uri.substring("hf://".length()).split("/", 3);
      return parts.length < 2 ? uri : parts[0] + "/" + parts[1].replaceFirst("@.*", "");
    }
    String path = uri.replaceFirst("/+$", "");
    String file = path.substring(path.lastIndexOf('/') + 1).replaceFirst("\\.gguf$", "");
    return file.isBlank() || file.equals(".") || file.equals("..") ? uri : file;
  }
}
