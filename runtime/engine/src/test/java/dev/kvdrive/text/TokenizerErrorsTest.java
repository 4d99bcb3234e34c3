package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Broken tokenizer data gives one error that names what is wrong. */
class TokenizerErrorsTest {

  private static Map<String, Object> smollm() {
    return TokenizerFixtures.gguf(
        TokenizerFixtures.json(TokenizerFixtures.folder("tokenizers/smollm").resolve("gguf.json")));
  }

  private static void refused(String key, Object value, String message) {
    Map<String, Object> metadata = smollm();
    metadata.put("tokenizer.ggml." + key, value);
    assertThatThrownBy(() -> Tokenizers.fromGguf(metadata))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining(message);
  }

  @Test
  void ggufMetadataMustBeConsistent() {
    String[] tokens =
        (String[]) Objects.requireNonNull(smollm().get("tokenizer.ggml.tokens"), "fixture");
    String[] twice = tokens.clone();
    twice[300] = twice[299];
    refused("tokens", twice, "twice, as 299 and 300");
    refused("tokens", new String[0], "holds no vocabulary");
    refused("tokens", "text", "must be an array");
    refused("token_type", new int[3], "3 entries for " + tokens.length + " tokens");
    refused("merges", new String[] {"nospace"}, "not two pieces");
    refused("merges", new String[] {"a nonsense-piece"}, "is not in the vocabulary");
    refused("model", "wordpiece", "'wordpiece' is not supported");
    refused("pre", "unheard-of", "'unheard-of' is not supported");
    refused("eos_token_id", 1 << 20, "outside the vocabulary");
    refused("add_bos_token", "yes", "must be a boolean");
    refused("model", "llama", "scores has no entries");
  }

  @Test
  void aFileWithoutTokenizerSaysSo() {
    assertThatThrownBy(() -> Tokenizers.fromGguf(new HashMap<String, Object>()))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("holds no tokenizer");
  }

  @Test
  void tokenizerJsonMustBeReadableAndSupported(@TempDir Path dir) throws IOException {
    Path file = dir.resolve("tokenizer.json");
    refused(dir, "there is no tokenizer.json");
    Files.writeString(file, "{\"model\": {\"type\": \"BPE\", ");
    refused(dir, "is not valid JSON");
    Files.writeString(file, "[]");
    refused(dir, "is not a JSON object");
    Files.writeString(file, "{\"model\": {\"type\": \"WordPiece\"}}");
    refused(dir, "'WordPiece' is not supported");
    Files.writeString(file, "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 0}}}");
    refused(dir, "the id 0 twice");
    Files.writeString(file, "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 99999999999}}}");
    refused(dir, "not a token id");
    Files.writeString(
        file,
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}, "
            + "\"normalizer\": {\"type\": \"Precompiled\"}}");
    refused(dir, "'Precompiled' is not supported");
  }

  private static void refused(Path dir, String message) {
    assertThatThrownBy(() -> Tokenizers.fromTokenizerJson(dir))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining(message);
  }

  @Test
  void aPatternThatBacktracksWithoutEndIsStopped(@TempDir Path dir) throws IOException {
    Files.writeString(
        dir.resolve("tokenizer.json"),
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}, "
            + "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"a*a*a*a*a*a*c\"}, "
            + "\"behavior\": \"Isolated\"}}");
    Tokenizer tokenizer = Tokenizers.fromTokenizerJson(dir);
    assertThatThrownBy(() -> tokenizer.encode("a".repeat(200) + "b", false))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining("steps per character");
  }

  @Test
  void anIdOutsideTheVocabularyIsRefused() {
    Tokenizer tokenizer = TokenizerFixtures.tokenizer("smollm");
    assertThatThrownBy(() -> tokenizer.decode(new int[] {1 << 20}, true))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("outside the vocabulary");
  }

  @Test
  void aRawPromptIsFramedAsTheModelWants() {
    Tokenizer llama = TokenizerFixtures.tokenizer("llama3");
    assertThat(llama.encodePrompt("a")[0]).isEqualTo(llama.special().bos().getAsInt());
    assertThat(TokenizerFixtures.tokenizer("smollm").encodePrompt("a")).hasSize(1);
  }
}
