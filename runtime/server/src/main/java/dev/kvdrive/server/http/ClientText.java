package dev.kvdrive.server.http;

import dev.kvdrive.server.settings.RuntimeSettings;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What a client may read of a text about the server: causes, values and ways out, but neither the
 * server's paths nor the names of its classes. The log has the whole text. Immutable.
 */
final class ClientText {
  private static final String SHOWN = "[path]";

  /** An absolute path; not the slash in 'tokens/s', 'owner/name' or 'hf://'. */
  private static final Pattern PATH =
      Pattern.compile(
          "(?<![\\w/.)\\]-])(?:~|\\.{1,2})?/(?![/\\s])[^\\s'\"`,;()<>\\[\\]{}|]*[^\\s'\"`,;:.()<>\\[\\]{}|]");

  private static final Pattern CLASS =
      Pattern.compile(
          "\\b(?:(?:[a-z_]\\w*\\.)+[A-Z][\\w$]*|[A-Z]\\w*(?:Exception|Error))\\b(?:(:)\\s*)?");

  private final List<String> known;

  /**
   * @param own paths of the server, which are known also if there are spaces in them
   */
  ClientText(List<Path> own) {
    List<String> paths = new ArrayList<>();
    own.forEach(path -> add(paths, path));
    paths.sort(Comparator.comparingInt(String::length).reversed());
    known = List.copyOf(paths);
  }

  /** Knows the paths of the configuration. */
  static ClientText of(RuntimeSettings settings) {
    List<Path> own = new ArrayList<>();
    own.add(settings.model().cacheDir());
    own.add(settings.tiers().nvmeDir());
    Path keys = settings.apiKeysFile();
    if (keys != null) {
      own.add(keys);
    }
    RuntimeSettings.Tls tls = settings.tls();
    if (tls != null) {
      Stream.of(tls.certificate(), tls.key(), tls.clientCa())
          .filter(Objects::nonNull)
          .forEach(own::add);
    }
    if (!settings.model().uri().contains(":")) {
      own.add(Path.of(settings.model().uri()));
    }
    return new ClientText(own);
  }

  private static void add(List<String> paths, Path path) {
    paths.add(path.toString());
    paths.add(path.toAbsolutePath().normalize().toString());
  }

  /** The text without what is the server's own. */
  String of(String text) {
    String shown = text;
    for (String path : known) {
      if (path.contains("/")) {
        shown =
            Pattern.compile(Pattern.quote(path) + "(?:/[^\\s'\"`,;:()<>\\[\\]{}|]*)?")
                .matcher(shown)
                .replaceAll(SHOWN);
      }
    }
    shown = PATH.matcher(shown).replaceAll(SHOWN);
    return CLASS
        .matcher(shown)
        .replaceAll(m -> m.group(1) == null ? "an internal error" : "")
        .strip();
  }
}
