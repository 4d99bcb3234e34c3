package dev.kvdrive.server.access;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;

/**
 * What a file with keys says. Either a list, one key a line, where empty lines and lines that begin
 * with {@code #} are skipped; or YAML, where keys have names and limits:
 *
 * <pre>{@code
 * keys:
 *   - name: search-team
 *     key: sk-0123456789abcdef          # or a list of keys, while one takes the place of another
 *     requestsPerMinute: 60
 *     tokensPerMinute: 200000
 *     concurrentRequests: 4
 *   - name: batch
 *     sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
 * }</pre>
 *
 * What it says of keys is only ever their hashes, and no message has a key in it.
 *
 * @param entries one for each name
 */
record KeyFile(List<Entry> entries) {
  /** Characters of a key at least; shorter ones can be guessed. */
  static final int MIN_KEY_CHARS = 16;

  /** Names at most: each has metrics of its own. */
  static final int MAX_NAMES = 1000;

  /** Name of all keys of a plain list. */
  static final String UNNAMED = "unnamed";

  private static final int MAX_NESTING = 5;

  /**
   * The keys of one name.
   *
   * @param hashes SHA-256 of each key
   */
  record Entry(String name, KeyLimits limits, List<KeyHash> hashes) {}

  /** Too short for a key of a list, all but the brace, after which no key goes on like this. */
  private static final Pattern YAML = Pattern.compile("---|keys\\s*:.*|\\{\\s*([\"']?keys\\b.*)?");

  /** What {@code Authorization: Bearer} can carry (RFC 6750, 2.1). */
  private static final Pattern KEY = Pattern.compile("[A-Za-z0-9._~+/-]+=*");

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}");
  private static final Pattern SHA256 = Pattern.compile("[0-9a-fA-F]{64}");
  private static final Pattern SHOWABLE = Pattern.compile("[A-Za-z]{1,30}");
  private static final Pattern LIKE_A_NUMBER = Pattern.compile("[-+]?[0-9][0-9 .,_]{0,12}[kKMG]?");
  private static final Set<String> FIELDS =
      Set.of("name", "key", "sha256", "requestsPerMinute", "tokensPerMinute", "concurrentRequests");

  /**
   * Reads it.
   *
   * @throws IllegalArgumentException that names the file and the line or entry
   */
  static KeyFile parse(Path file, byte[] bytes) {
    String text = text(file, bytes);
    return isYaml(text) ? yaml(file, text) : list(file, text);
  }

  private static boolean isYaml(String text) {
    Optional<String> first =
        text.lines()
            .map(String::strip)
            .filter(line -> !line.isEmpty() && !line.startsWith("#"))
            .findFirst();
    return first.isPresent() && YAML.matcher(first.get()).matches();
  }

  private static KeyFile list(Path file, String text) {
    List<KeyHash> hashes = new ArrayList<>();
    Map<String, Integer> lines = new HashMap<>();
    int number = 0;
    for (String line : text.lines().toList()) {
      number++;
      String key = line.strip();
      if (!key.isEmpty() && !key.startsWith("#")) {
        check(key, "in line %d of %s".formatted(number, file));
        KeyHash hash = KeyHash.of(key);
        Integer other = lines.putIfAbsent(hash.hex(), number);
        if (other != null) {
          throw new IllegalArgumentException(
              "the API key in line %d of %s is there a second time, after line %d; take one of the lines away"
                  .formatted(number, file, other));
        }
        hashes.add(hash);
      }
    }
    return new KeyFile(
        hashes.isEmpty()
            ? List.of()
            : List.of(new Entry(UNNAMED, KeyLimits.NONE, List.copyOf(hashes))));
  }

  private static KeyFile yaml(Path file, String text) {
    if (!(load(file, text) instanceof Map<?, ?> top
        && top.size() == 1
        && top.get("keys") instanceof List<?> keys)) {
      throw new IllegalArgumentException(
          "the API key file %s must have one field, keys, with a list; write 'keys:' and below it an entry for each key"
              .formatted(file));
    }
    if (keys.size() > MAX_NAMES) {
      throw new IllegalArgumentException(
          "the API key file %s has %d entries; at most %d have metrics and limits of their own, so put keys that share them into one entry"
              .formatted(file, keys.size(), MAX_NAMES));
    }
    List<Entry> entries = new ArrayList<>();
    Set<String> names = new HashSet<>();
    Map<String, String> owners = new HashMap<>();
    for (int i = 0; i < keys.size(); i++) {
      Entry entry = entry("keys[%d] of %s".formatted(i, file), keys.get(i));
      if (!names.add(entry.name())) {
        throw new IllegalArgumentException(
            "keys[%d] of %s has the name '%s' a second time; put keys that share their limits into one entry, as a list"
                .formatted(i, file, entry.name()));
      }
      for (KeyHash hash : entry.hashes()) {
        String other = owners.putIfAbsent(hash.hex(), entry.name());
        if (other != null) {
          throw new IllegalArgumentException(
              "a key of '%s' in %s is there a second time, under '%s'; give each its own"
                  .formatted(other, file, entry.name()));
        }
      }
      entries.add(entry);
    }
    return new KeyFile(List.copyOf(entries));
  }

  private static @Nullable Object load(Path file, String text) {
    LoaderOptions options = new LoaderOptions();
    options.setAllowDuplicateKeys(false);
    options.setMaxAliasesForCollections(0);
    options.setNestingDepthLimit(MAX_NESTING);
    options.setCodePointLimit(ApiKeys.MAX_FILE_BYTES);
    try {
      return new Yaml(new SafeConstructor(options)).load(text);
    } catch (MarkedYAMLException e) {
      // Its words quote the file, where there are keys.
      int line = e.getProblemMark() == null ? 0 : e.getProblemMark().getLine() + 1;
      throw new IllegalArgumentException(
          "the API key file %s is not valid YAML in line %d; check indentation, quotes and fields that are there twice"
              .formatted(file, line));
    } catch (YAMLException e) {
      throw new IllegalArgumentException(
          "the API key file %s is not valid YAML; write it without aliases and other structure than in the manual"
              .formatted(file));
    }
  }

  private static Entry entry(String place, @Nullable Object value) {
    if (!(value instanceof Map<?, ?> fields)) {
      throw new IllegalArgumentException(
          place + " must have the fields name and key; write '- name: NAME', and 'key: KEY' below");
    }
    for (Object field : fields.keySet()) {
      if (!(field instanceof String known && FIELDS.contains(known))) {
        boolean shown = field instanceof String text && SHOWABLE.matcher(text).matches();
        throw new IllegalArgumentException(
            "%s has an unknown field%s; there are name, key, sha256, requestsPerMinute, tokensPerMinute and concurrentRequests"
                .formatted(place, shown ? " '" + field + "'" : ""));
      }
    }
    if (!(fields.get("name") instanceof String name && NAME.matcher(name).matches())) {
      throw new IllegalArgumentException(
          place
              + " needs a name of up to 63 letters, digits, '.', '_' and '-', which begins with a letter or digit; quote one that is a number");
    }
    List<KeyHash> hashes = new ArrayList<>();
    for (String key : strings(place, name, "key", fields.get("key"))) {
      if (!key.equals(key.strip())) {
        throw new IllegalArgumentException(
            "a key of '%s' in %s has spaces around it; take them away".formatted(name, place));
      }
      check(key, "of '%s' in %s".formatted(name, place));
      hashes.add(KeyHash.of(key));
    }
    for (String sha : strings(place, name, "sha256", fields.get("sha256"))) {
      if (!SHA256.matcher(sha).matches()) {
        throw new IllegalArgumentException(
            "sha256 of '%s' in %s must be 64 hexadecimal digits, such as 'printf %%s KEY | sha256sum' writes"
                .formatted(name, place));
      }
      hashes.add(KeyHash.parse(sha));
    }
    if (hashes.isEmpty()) {
      throw new IllegalArgumentException(
          "'%s' in %s has no key; give it a key or its sha256".formatted(name, place));
    }
    try {
      return new Entry(
          name,
          new KeyLimits(
              limit(fields, "requestsPerMinute"),
              limit(fields, "tokensPerMinute"),
              limit(fields, "concurrentRequests")),
          List.copyOf(hashes));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("'%s' in %s: %s".formatted(name, place, e.getMessage()));
    }
  }

  private static List<String> strings(
      String place, String name, String field, @Nullable Object value) {
    List<?> values =
        value == null ? List.of() : value instanceof List<?> several ? several : List.of(value);
    List<String> strings = new ArrayList<>();
    for (Object one : values) {
      if (!(one instanceof String string)) {
        throw new IllegalArgumentException(
            "%s of '%s' in %s must be a string, or a list of them; put it into quotes"
                .formatted(field, name, place));
      }
      strings.add(string);
    }
    return strings;
  }

  private static @Nullable Integer limit(Map<?, ?> fields, String name) {
    if (!fields.containsKey(name)) {
      return null;
    }
    if (fields.get(name) instanceof Integer number) {
      return number;
    }
    throw new IllegalArgumentException(
        "%s must be a whole number between 1 and %d, got %s; leave it out for no limit"
            .formatted(name, KeyLimits.MAX, shown(fields.get(name))));
  }

  /** What is there in place of a number; a text only if it is like one, as it may be a key. */
  private static String shown(@Nullable Object value) {
    return switch (value) {
      case null -> "nothing";
      case Number number -> number.toString();
      case Boolean truth -> truth.toString();
      case String text when LIKE_A_NUMBER.matcher(text).matches() -> "'" + text + "'";
      case String _ -> "a text";
      case List<?> _ -> "a list";
      default -> "no number";
    };
  }

  private static void check(String key, String place) {
    if (!KEY.matcher(key).matches()) {
      throw new IllegalArgumentException(
          "the API key %s cannot be one: a key has letters, digits, '-', '.', '_', '~', '+' and '/' alone, and '=' only at its end; the file is a list with one key a line, or YAML that begins with 'keys:'"
              .formatted(place));
    }
    if (key.length() < MIN_KEY_CHARS) {
      throw new IllegalArgumentException(
          "the API key %s has %d characters; use at least %d random ones"
              .formatted(place, key.length(), MIN_KEY_CHARS));
    }
  }

  /** Some editors begin a file with a mark of its encoding, which is no part of the first key. */
  private static String text(Path file, byte[] bytes) {
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
      return text.startsWith("\uFEFF") ? text.substring(1) : text;
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(
          "the API key file %s is not in UTF-8; save it as plain text".formatted(file), e);
    }
  }
}
