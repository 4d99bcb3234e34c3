package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.atIndex;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
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
    refused(dir, "gives the id 0 twice, to 'a' and to 'b'");
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

  /** A byte-pair tokenizer of one letter with more fields; they begin with a comma. */
  private static Tokenizer oneLetter(Path dir, String fields) throws IOException {
    Files.writeString(
        dir.resolve("tokenizer.json"),
        "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}" + fields + "}");
    return Tokenizers.fromTokenizerJson(dir);
  }

  private static void stopped(Tokenizer tokenizer, String text, String message) {
    assertThatThrownBy(() -> tokenizer.encode(text, false))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining(message);
  }

  @Test
  void aPatternThatBacktracksOnEachOfManyPiecesIsStopped(@TempDir Path dir) throws IOException {
    Tokenizer tokenizer =
        oneLetter(
            dir,
            """
            , "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": ".{18}"}, "behavior": "Isolated"},
                {"type": "Split", "pattern": {"Regex": "a*a*a*a*a*a*c"}, "behavior": "Isolated"}]}
            """);
    stopped(tokenizer, "a".repeat(18_000), "steps per character");
  }

  @Test
  void replacementsThatBlowATextUpAreStopped(@TempDir Path dir) throws IOException {
    String more =
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"%s\"}"
            .formatted("a".repeat(16_000));
    String chain =
        ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [%s, %s, %s]}"
            .formatted(more, more, more);
    stopped(oneLetter(dir, chain), "a".repeat(1 << 16), "times as long");
    String regex = more.replace("\"String\": \"a\"", "\"Regex\": \"a?\"");
    stopped(oneLetter(dir, ", \"normalizer\": " + regex), "b".repeat(1 << 16), "times as long");
  }

  @Test
  void longTokensThatAlmostMatchEverywhereAreStopped(@TempDir Path dir) throws IOException {
    Tokenizer added =
        oneLetter(
            dir,
            ", \"added_tokens\": [{\"id\": 1, \"content\": \"%sb\"}]"
                .formatted("a".repeat(16_000)));
    stopped(added, "a".repeat(1 << 16), "steps per character");
    Files.writeString(
        dir.resolve("tokenizer.json"),
        "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0], [\"%sb\", 0]]}}"
            .formatted("a".repeat(16_000)));
    stopped(Tokenizers.fromTokenizerJson(dir), "a".repeat(1 << 16), "steps per character");
  }

  @Test
  void aTokenizerOutOfProportionIsRefused(@TempDir Path dir) {
    String stage = "{\"type\": \"NFC\"}";
    refusedOneLetter(
        dir,
        ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [%s]}"
            .formatted(String.join(",", Collections.nCopies(65, stage))),
        "normalizers and pre-tokenizers of 65, more than the limit of 64");
    refusedOneLetter(
        dir,
        ", \"added_tokens\": [{\"id\": 4000000, \"content\": \"b\"}]",
        "2 tokens but an id of 4,000,000");
    refusedOneLetter(
        dir,
        ", \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"%s\"}, \"behavior\": \"Isolated\"}"
            .formatted("(".repeat(8000) + "a" + ")".repeat(8000)),
        "pattern");
    refusedOneLetter(
        dir,
        ", \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"b\"}",
        "a String or Regex with text");
    refusedOneLetter(dir, ", \"deep\": " + "[".repeat(600) + "]".repeat(600), "nests too deeply");
  }

  private static void refusedOneLetter(Path dir, String fields, String message) {
    assertThatThrownBy(() -> oneLetter(dir, fields))
        .isInstanceOf(TokenizerException.class)
        .hasMessageContaining(message);
  }

  @Test
  void tokensThatOnlyTheConfigurationHasAreTokens(@TempDir Path dir) throws IOException {
    Path config = dir.resolve("tokenizer_config.json");
    Files.writeString(
        config,
        """
        {"added_tokens_decoder": {
           "1": {"content": "<|im_end|>", "special": true},
           "2": {"content": "<think>", "special": false, "normalized": false}}}
        """);
    Tokenizer tokenizer = oneLetter(dir, "");
    assertThat(tokenizer.encode("a<think>a<|im_end|>", true)).containsExactly(0, 2, 0, 1);
    assertThat(tokenizer.encode("a<think>", false)).containsExactly(0, 2);
    assertThat(tokenizer.special().endsGeneration(1)).isTrue();
    assertThat(tokenizer.vocabularySize()).isEqualTo(3);

    Files.writeString(config, "{\"added_tokens_decoder\": {\"0\": {\"content\": \"b\"}}}");
    refusedOneLetter(dir, "", "calls token 0 'b', tokenizer.json calls it 'a'");
    Files.writeString(config, "{\"added_tokens_decoder\": {\"x\": {\"content\": \"b\"}}}");
    refusedOneLetter(dir, "", "gives 'b' the id 'x'");
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
    assertThat(llama.encodePrompt("a", true)[0]).isEqualTo(llama.special().bos().getAsInt());
    assertThat(TokenizerFixtures.tokenizer("smollm").encodePrompt("a", true)).hasSize(1);
  }

  @Test
  void aRawPromptThatBeginsAsTheModelWantsIsLeftAsItIs() {
    Tokenizer llama = TokenizerFixtures.tokenizer("llama3");
    int bos = llama.special().bos().getAsInt();
    String written = llama.decode(new int[] {bos}, false) + "a";
    assertThat(llama.encodePrompt(written, true)).isEqualTo(llama.encodePrompt("a", true));
    assertThat(llama.encodePrompt(written, false)).startsWith(bos).doesNotContain(bos, atIndex(1));
    assertThat(llama.encodePrompt("", true)).containsExactly(bos);
  }
}
