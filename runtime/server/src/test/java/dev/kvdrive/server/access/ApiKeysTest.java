package dev.kvdrive.server.access;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.bucket4j.TimeMeter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

class ApiKeysTest {
  private static final String FIRST = "first-key-0123456789";
  private static final String SECOND = "second-key-0123456789";

  private static final String NAMED =
      """
      # of two teams
      keys:
        - name: search
          key: %s
          requestsPerMinute: 2
          concurrentRequests: 3
        - name: batch
          key: [%s, third-key-0123456789]
          tokensPerMinute: 1000
      """
          .formatted(FIRST, SECOND);

  @TempDir Path folder;
  private final List<String> told = new ArrayList<>();
  private long nanos = 1;

  private ApiKeys read(Path file) {
    return ApiKeys.read(
        file,
        new ApiKeys.Listener() {
          @Override
          public void added(Caller caller) {
            told.add("+" + caller.name());
          }

          @Override
          public void removed(Caller caller) {
            told.add("-" + caller.name());
          }
        },
        new TimeMeter() {
          @Override
          public long currentTimeNanos() {
            return nanos;
          }

          @Override
          public boolean isWallClockBased() {
            return false;
          }
        });
  }

  private static boolean admits(ApiKeys keys, String key) {
    return keys.caller(key).isPresent();
  }

  private static Caller caller(ApiKeys keys, String key) {
    return keys.caller(key).orElseThrow();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "first-key-0123456789\nnot a key, but a sentence",
        "first-key-0123456789\n\"sk-0123456789abcdef\",",
        "first-key-0123456789\nAPI_KEY=sk-0123456789abcdef",
        "first-key-0123456789\n-----BEGIN PRIVATE KEY-----",
        "first-key-0123456789\nschl\u00fcssel-0123456789",
        "first-key-0123456789\nkey\u001b[31m-0123456789",
      })
  void whatCannotBeAKeyIsRefusedByItsLineAndNeverShown(String text) throws IOException {
    Path file = Files.writeString(folder.resolve("keys"), text);
    assertThatThrownBy(() -> read(file))
        .hasMessageContaining("the API key in line 2 of %s cannot be one".formatted(file))
        .hasMessageContaining("one key a line")
        .satisfies(
            e ->
                assertThat(String.valueOf(e.getMessage()))
                    .doesNotContain(text.lines().toList().get(1), "0123456789", "sentence"));
  }

  @Test
  void aChangedFileTakesOverAndABrokenOneChangesNothing() throws IOException {
    Path file = Files.writeString(folder.resolve("keys"), "# team a\n" + FIRST + "\n");
    ApiKeys keys = read(file);
    assertThat(admits(keys, FIRST)).isTrue();
    assertThat(admits(keys, SECOND)).isFalse();
    assertThat(admits(keys, "# team a")).isFalse();
    Files.writeString(file, SECOND);
    keys.reload();
    assertThat(admits(keys, FIRST)).isFalse();
    assertThat(admits(keys, SECOND)).isTrue();
    Files.writeString(file, "short");
    keys.reload();
    Files.delete(file);
    keys.reload();
    assertThat(admits(keys, SECOND)).isTrue();
    Files.writeString(file, "");
    keys.reload();
    assertThat(admits(keys, SECOND)).isFalse();
  }

  @Test
  void aKeyThatIsListedTwiceIsRefusedByItsLines() throws IOException {
    Path file = Files.writeString(folder.resolve("keys"), FIRST + "\n# of b\n" + FIRST + "\n");
    assertThatThrownBy(() -> read(file))
        .hasMessage(
            "the API key in line 3 of %s is there a second time, after line 1; take one of the lines away",
            file);
    Path named = folder.resolve("named");
    Files.writeString(named, NAMED.replace("third-key-0123456789", SECOND));
    assertThatThrownBy(() -> read(named))
        .hasMessageContaining("a key of 'batch' in %s is there a second time", named);
  }

  @Test
  @ExtendWith(OutputCaptureExtension.class)
  void whatBecameOfAChangedFileIsLoggedOnceUntilItChanges(CapturedOutput log) throws IOException {
    Path file = Files.writeString(folder.resolve("keys"), FIRST);
    ApiKeys keys = read(file);
    Files.writeString(file, SECOND);
    keys.reload();
    assertThat(log)
        .contains("API keys reloaded: 1 key of 1 name")
        .doesNotContain("1 keys", "1 names");

    Files.writeString(file, "short");
    keys.reload();
    keys.reload();
    Files.writeString(file, "brief");
    keys.reload();
    assertThat(log)
        .containsOnlyOnce(
            "API keys not reloaded, the earlier ones stay valid: the API key in line 1 of "
                + file
                + " has 5 characters");
    Files.delete(file);
    keys.reload();
    keys.reload();
    assertThat(log)
        .containsOnlyOnce(
            "stay valid: the API key file %s cannot be read: there is no such file or folder"
                .formatted(file))
        .doesNotContain("Exception");

    Files.writeString(file, "# none\n");
    keys.reload();
    keys.reload();
    assertThat(log).containsOnlyOnce(file + " has no keys any more, so nobody is admitted");
    Files.writeString(file, "short");
    keys.reload();
    assertThat(log).contains("nobody is admitted until they are: the API key in line 1 of");
    Files.writeString(file, NAMED);
    keys.reload();
    assertThat(log).contains("API keys reloaded: 3 keys of 2 names");
  }

  @Test
  void refusesToStartWithoutKeysAndNeverShowsOne() throws IOException {
    Path none = Files.writeString(folder.resolve("none"), "\n# nothing\n");
    assertThatThrownBy(() -> read(none)).hasMessageContaining("no keys");
    assertThatThrownBy(() -> read(folder.resolve("missing"))).hasMessageContaining("missing");
    Path weak = Files.writeString(folder.resolve("weak"), "hunter2");
    assertThatThrownBy(() -> read(weak))
        .hasMessageContaining("line 1")
        .hasMessageNotContaining("hunter2");
  }

  /** Editors and shells of Windows write both. */
  @Test
  void aMarkOfTheEncodingIsNoPartOfAKeyAndAnotherEncodingIsRefused() throws IOException {
    Path marked = Files.writeString(folder.resolve("marked"), "\uFEFF" + FIRST + "\r\n");
    assertThat(admits(read(marked), FIRST)).isTrue();

    Path wide = Files.writeString(folder.resolve("wide"), FIRST, StandardCharsets.UTF_16);
    assertThatThrownBy(() -> read(wide)).hasMessageContaining("not in UTF-8");
  }

  @Test
  void keysHaveNamesAndLimitsAndSeveralMayShareThem() throws IOException {
    ApiKeys keys = read(Files.writeString(folder.resolve("keys"), NAMED));
    assertThat(told).containsExactly("+search", "+batch");
    assertThat(caller(keys, FIRST).limits()).isEqualTo(new KeyLimits(2, null, 3));
    assertThat(caller(keys, SECOND)).isSameAs(caller(keys, "third-key-0123456789"));
    assertThat(caller(keys, SECOND).limits()).isEqualTo(new KeyLimits(null, 1000, null));
    assertThat(admits(keys, "search")).isFalse();
    assertThat(admits(keys, "keys:")).isFalse();
  }

  @Test
  void aFileMayHaveHashesInPlaceOfKeysAndBeJson() throws IOException {
    ApiKeys keys =
        read(
            Files.writeString(
                folder.resolve("keys"),
                """
                {
                  "keys": [
                    {"name": "ada", "sha256": "%s"}
                  ]
                }
                """
                    .formatted(KeyHash.of(FIRST).hex())));
    assertThat(caller(keys, FIRST).name()).isEqualTo("ada");
    assertThat(caller(keys, FIRST).limits()).isEqualTo(KeyLimits.NONE);
  }

  /** A change of the file is no way to begin anew. */
  @Test
  void whatIsUsedStaysUsedWhenTheFileChanges() throws IOException {
    Path file = Files.writeString(folder.resolve("keys"), NAMED);
    ApiKeys keys = read(file);
    Admission running = caller(keys, FIRST).admit();
    Files.writeString(file, NAMED.replace("requestsPerMinute: 2", "requestsPerMinute: 4"));
    keys.reload();
    caller(keys, FIRST).admit().close();
    assertThatThrownBy(() -> caller(keys, FIRST).admit()).hasMessageContaining("4 requests per");

    Files.writeString(file, NAMED.replace(FIRST, "other-key-0123456789"));
    keys.reload();
    assertThat(admits(keys, FIRST)).isFalse();
    assertThatThrownBy(() -> caller(keys, "other-key-0123456789").admit())
        .hasMessageContaining("2 requests per minute");
    assertThat(caller(keys, "other-key-0123456789").running()).isEqualTo(1);

    Files.writeString(file, NAMED.replace("name: search", "name: found"));
    keys.reload();
    assertThat(told).containsExactly("+search", "+batch", "+found");
    Files.writeString(file, NAMED);
    keys.reload();
    assertThatThrownBy(() -> caller(keys, FIRST).admit()).hasMessageContaining("search");
    running.close();
  }

  @Test
  void aNameThatLeftIsForgottenOnceItsLimitsAreAsTheyWere() throws IOException {
    Path file = Files.writeString(folder.resolve("keys"), NAMED);
    ApiKeys keys = read(file);
    Admission running = caller(keys, FIRST).admit();
    Files.writeString(file, SECOND);
    keys.reload();
    assertThat(told).containsExactly("+search", "+batch", "+unnamed", "-batch");
    nanos += Duration.ofMinutes(2).toNanos();
    keys.reload();
    assertThat(told).doesNotContain("-search");
    running.close();
    keys.reload();
    assertThat(told).last().isEqualTo("-search");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "keys: {} | must have one field, keys, with a list",
        "keys: [] | has no keys",
        "keys: [a] | keys[0] of FILE must have the fields name and key",
        "keys: [{key: KEY}] | keys[0] of FILE needs a name",
        "keys: [{name: 'a b', key: KEY}] | needs a name of up to 63",
        "keys: [{name: 7, key: KEY}] | quote one that is a number",
        "keys: [{name: a}] | 'a' in keys[0] of FILE has no key",
        "keys: [{name: a, key: 1234567890123456}] | must be a string",
        "keys: [{name: a, key: hunter2}] | has 7 characters; use at least 16",
        "keys: [{name: a, key: 'KEY '}] | has spaces around it",
        "keys: [{name: a, sha256: KEY}] | must be 64 hexadecimal digits",
        "keys: [{name: a, key: KEY, rpm: 5}] | has an unknown field 'rpm'",
        "keys: [{name: a, KEY: KEY}] | has an unknown field;",
        "keys: [{name: a, key: KEY, requestsPerMinute: 0}] | requestsPerMinute must be between 1 and 100000000, got 0;",
        "keys: [{name: a, key: KEY, tokensPerMinute: -1}] | tokensPerMinute must be between 1 and",
        "keys: [{name: a, key: KEY, concurrentRequests: 1.5}] | concurrentRequests must be a whole number between 1 and 100000000, got 1.5; leave",
        "keys: [{name: a, key: KEY, tokensPerMinute: 100000001}] | between 1 and 100000000, got 100000001",
        "keys: [{name: a, key: KEY, tokensPerMinute: 99999999999}] | must be a whole number between 1 and 100000000, got 99999999999;",
        "keys: [{name: a, key: KEY, tokensPerMinute: }] | must be a whole number between 1 and 100000000, got nothing;",
        "keys: [{name: a, key: KEY, tokensPerMinute: '200k'}] | got '200k';",
        "keys: [{name: a, key: KEY, tokensPerMinute: KEY2}] | got a text;",
        "keys: [{name: a, key: KEY, tokensPerMinute: [5]}] | got a list;",
        "keys: [{name: a, key: KEY, requestsPerMinute: yes}] | got true;",
        "keys: [{name: a, key: KEY}, {name: a, key: KEY2}] | has the name 'a' a second time",
        "keys: [{name: a, key: KEY}, {name: b, key: KEY}] | a key of 'a' in FILE is there a second time, under 'b'",
        "keys: [{name: a, key: KEY, key: KEY}] | is not valid YAML in line 1",
        "keys: [{name: a, key: KEY | is not valid YAML in line",
        "keys: [&a {name: a, key: KEY}, *a] | is not valid YAML; write it without aliases",
        "keys: [[[[[[[a]]]]]]] | is not valid YAML",
      })
  void aWrongFileIsRefusedWithItsPlaceAndNoKey(String text, String message) throws IOException {
    String key = "secret-0123456789";
    Path file =
        Files.writeString(
            folder.resolve("keys"), text.replace("KEY2", key + 2).replace("KEY", key));
    assertThatThrownBy(() -> read(file))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message.replace("FILE", file.toString()))
        .hasMessageNotContaining("secret")
        .hasMessageNotContaining("hunter2");
  }

  /** What the manual and the example show is what is read. */
  @Test
  void theDocumentedFilesAreRead() throws IOException {
    String manual =
        Files.readString(Path.of("../../docs/server.md"))
            .split("(?m)^## Keys and their limits$", 2)[1]
            .split("```yaml\\n", 2)[1]
            .split("```", 2)[0];
    ApiKeys shown = read(Files.writeString(folder.resolve("manual"), manual));
    assertThat(caller(shown, "sk-search-0123456789").limits())
        .isEqualTo(new KeyLimits(60, 200_000, 4));
    assertThat(caller(shown, "sk-batch-0123456789").name()).isEqualTo("batch");

    String example =
        Files.readString(Path.of("../../examples/guarded.yaml"))
            .split("keys.yaml: \\|\\n", 2)[1]
            .split("(?m)^---$", 2)[0]
            .stripIndent();
    ApiKeys given = read(Files.writeString(folder.resolve("example"), example));
    assertThat(caller(given, "replace-me-batch-new-0123456789").limits())
        .isEqualTo(new KeyLimits(null, null, 1));
    assertThat(caller(given, "replace-me-on-call-0123456789").name()).isEqualTo("on-call");
  }

  @Test
  void moreNamesThanHaveMetricsAreRefused() throws IOException {
    StringBuilder text = new StringBuilder("keys:\n");
    for (int i = 0; i <= KeyFile.MAX_NAMES; i++) {
      text.append("- {name: n%d, key: key-0123456789-%d}\n".formatted(i, i));
    }
    Path file = Files.writeString(folder.resolve("many"), text);
    assertThatThrownBy(() -> read(file)).hasMessageContaining("1001 entries; at most 1000");
  }
}
