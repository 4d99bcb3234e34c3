package dev.kvdrive.model.source;

import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.gguf.GgufPart;
import dev.kvdrive.plan.ModelGeometry;
import java.io.IOException;
import java.net.URI;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Turns the address of a model into a file or folder on this machine that {@link ModelLoader}
 * opens.
 *
 * <ul>
 *   <li>{@code builtin:kvdrive-tiny-32k}: the bundled model.
 *   <li>{@code hf://org/repo[@revision]}: the safetensors folder of a model on the hub, or its GGUF
 *       file if it has exactly one and no safetensors; {@code hf://org/repo[@revision]/file.gguf}:
 *       that file. A model that is split over several GGUF files is named by any of them and
 *       brought whole. Downloaded once, in pieces, several at a time; a broken download goes on
 *       where it stopped; nothing gets its name before its checksum is right. A commit that is here
 *       needs no network; a branch that is here is used when the hub is unreachable.
 *   <li>anything else: a path, or a {@code file:} address. A folder without config.json stands for
 *       the one GGUF model in it.
 * </ul>
 *
 * Thread-safe; two downloads of the same repository follow each other, also across processes.
 */
public final class ModelSource {
  /** Address of the bundled model. */
  public static final String BUILTIN = BundledModel.URI;

  private final Path cache;
  private final HubSettings hub;

  /**
   * @param cache folder for downloads and for the copy of the bundled model; made when needed
   * @param hub how to reach the hub
   */
  public ModelSource(Path cache, HubSettings hub) {
    this.cache = cache;
    this.hub = hub;
  }

  /**
   * A source with the settings of the environment: {@link #cacheFolder} and {@link
   * HubSettings#from}.
   */
  public static ModelSource fromEnvironment(Map<String, String> environment) {
    return new ModelSource(cacheFolder(environment), HubSettings.from(environment));
  }

  /**
   * Where a person's machine keeps models: KVDRIVE_CACHE, else XDG_CACHE_HOME/kvdrive, else
   * .cache/kvdrive in the home folder.
   */
  public static Path cacheFolder(Map<String, String> environment) {
    String own = environment.getOrDefault("KVDRIVE_CACHE", "");
    String xdg = environment.getOrDefault("XDG_CACHE_HOME", "");
    return !own.isBlank()
        ? Path.of(own)
        : !xdg.isBlank()
            ? Path.of(xdg, "kvdrive")
            : Path.of(System.getProperty("user.home"), ".cache", "kvdrive");
  }

  /** As {@link #resolve(String, DownloadProgress)}, heard by nobody. */
  public Path resolve(String uri) {
    return resolve(uri, DownloadProgress.NONE);
  }

  /**
   * The model's file or folder on this machine. Blocks while it downloads; an interrupt stops the
   * download.
   *
   * @throws ModelSourceException if it cannot be obtained
   */
  public Path resolve(String uri, DownloadProgress progress) {
    if (uri.startsWith(HubReference.SCHEME)) {
      return new HubCache(cache, hub, progress).resolve(HubReference.parse(uri));
    }
    return local(uri);
  }

  /**
   * The sizes of a model; of one on the hub only headers are downloaded, and not kept.
   *
   * @throws ModelSourceException if it cannot be obtained
   * @throws dev.kvdrive.model.file.ModelFormatException if it cannot be used
   */
  public ModelGeometry geometry(String uri) {
    if (uri.startsWith(HubReference.SCHEME)) {
      return new HubCache(cache, hub, DownloadProgress.NONE).geometry(HubReference.parse(uri));
    }
    return ModelLoader.geometry(local(uri));
  }

  private Path local(String uri) {
    if (BundledModel.is(uri)) {
      return BundledModel.resolve(List.of(cache, Path.of(System.getProperty("java.io.tmpdir"))));
    }
    if (uri.startsWith("builtin:")) {
      throw new ModelSourceException(uri, "there is no such bundled model", "use " + BUILTIN);
    }
    if (uri.matches("[a-zA-Z][a-zA-Z0-9+.-]+://.*") && !uri.startsWith("file://")) {
      throw new ModelSourceException(
          uri, "this kind of address is not supported", "use hf://org/repo, a path, or " + BUILTIN);
    }
    Path path;
    try {
      path = uri.startsWith("file:") ? Path.of(URI.create(uri)) : Path.of(uri);
    } catch (IllegalArgumentException e) {
      throw new ModelSourceException(uri, "this is no path", "use hf://org/repo or a path");
    }
    if (uri.isBlank() || !Files.exists(path)) {
      throw new ModelSourceException(
          uri,
          Files.isSymbolicLink(path)
              ? "the symbolic link leads nowhere or in a circle"
              : "there is no such file or folder",
          "check the path; models of the hub are written hf://org/repo");
    }
    return Files.isDirectory(path) && !Files.exists(path.resolve("config.json"))
        ? onlyGguf(uri, path)
        : path;
  }

  private static Path onlyGguf(String uri, Path folder) {
    List<Path> files = new ArrayList<>();
    try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder, "*.gguf")) {
      stream.forEach(files::add);
    } catch (IOException e) {
      throw new ModelSourceException(
          uri, "the folder cannot be read", "check its permissions", false, e);
    }
    List<String> models =
        GgufPart.models(files.stream().map(f -> String.valueOf(f.getFileName())).toList());
    if (models.size() != 1) {
      throw new ModelSourceException(
          uri,
          "the folder has no config.json and %d GGUF models".formatted(models.size()),
          "name a GGUF file, or a folder with config.json and safetensors files");
    }
    return folder.resolve(models.getFirst());
  }
}
