package dev.kvdrive.model.source;

import dev.kvdrive.model.IndexSidecar;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;

/**
 * The model in the jar: {@code builtin:kvdrive-tiny-32k}. It is mapped where it is when it is a
 * file of its own, else copied once to the first of the given folders that can be written; a copy
 * is used only if its SHA-256 is right.
 */
final class BundledModel {
  static final String URI = "builtin:kvdrive-tiny-32k";
  static final String SHA256 = "0a4dbfbe0d3bc25d44d1b04be1dfc2727cc00438839c62e2f4f17099e58b67a4";

  private static final String NAME = "kvdrive-tiny-32k-q8_0.gguf";
  private static final String CALIBRATION = IndexSidecar.besideGguf(NAME);

  private BundledModel() {}

  static Path resolve(List<Path> folders) {
    URL resource = BundledModel.class.getResource("/models/" + NAME);
    if (resource == null) {
      throw new ModelSourceException(
          URI, "this build does not contain the model", "use a local path or an hf:// address");
    }
    if (resource.getProtocol().equals("file")) {
      try {
        return Path.of(resource.toURI());
      } catch (URISyntaxException e) {
        throw new IllegalStateException(e);
      }
    }
    IOException last = null;
    for (Path folder : folders) {
      try {
        Path model = copied(resource, folder.resolve("builtin"));
        copyCalibration(model);
        return model;
      } catch (IOException e) {
        last = e;
      }
    }
    throw new ModelSourceException(
        URI,
        "the model cannot be copied to any of %s (%s)"
            .formatted(folders, last == null ? "no folder" : last.getMessage()),
        "give a writable folder with 8 MB of room, for instance as KVDRIVE_CACHE",
        false,
        last);
  }

  static Path copied(URL resource, Path folder) throws IOException {
    Path target = folder.resolve(SHA256.substring(0, 16) + "-" + NAME);
    if (Files.isRegularFile(target) && HubFile.sha256(target).equals(SHA256)) {
      return target;
    }
    Files.createDirectories(folder);
    Path fresh = Files.createTempFile(folder, NAME, ".part");
    try {
      try (InputStream in = resource.openStream()) {
        Files.copy(in, fresh, StandardCopyOption.REPLACE_EXISTING);
      }
      if (!HubFile.sha256(fresh).equals(SHA256)) {
        throw new ModelSourceException(
            URI, "the copy in this build is damaged", "build or download the product again");
      }
      Files.move(
          fresh, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(fresh);
    }
    return target;
  }

  /** Puts the calibration beside a copy, or replaces one that is another. */
  private static void copyCalibration(Path model) throws IOException {
    try (InputStream in = BundledModel.class.getResourceAsStream("/models/" + CALIBRATION)) {
      if (in == null) {
        return;
      }
      byte[] bytes = in.readAllBytes();
      Path target = IndexSidecar.of(model);
      if (Files.isRegularFile(target) && Arrays.equals(Files.readAllBytes(target), bytes)) {
        return;
      }
      Path fresh = Files.createTempFile(model.getParent(), NAME, ".part");
      try {
        Files.write(fresh, bytes);
        Files.move(
            fresh, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      } finally {
        Files.deleteIfExists(fresh);
      }
    }
  }

  static boolean is(String uri) {
    return uri.equals(URI);
  }
}
