package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.IntStream;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** The same ids and texts as the tokenizers library and sentencepiece. */
class TokenizerGoldenTest {

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gpt2",
        "smollm",
        "llama3",
        "qwen2",
        "tekken",
        "phi4-mini",
        "llama2",
        "mistral",
        "phi3",
        "unigram",
        "deepseek-llm",
        "deepseek-coder",
        "deepseek-v3",
        "seed-coder",
        "superbpe",
        "viking"
      })
  void tokenizerJsonGivesTheIdsOfTheTokenizersLibrary(String name) {
    compare(
        TokenizerFixtures.tokenizer(name),
        TokenizerFixtures.json(
            TokenizerFixtures.folder("tokenizers/" + name).resolve("goldens.json")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gpt2",
        "smollm",
        "llama3",
        "qwen2",
        "tekken",
        "phi4-mini",
        "deepseek-llm",
        "deepseek-coder",
        "deepseek-v3",
        "seed-coder",
        "superbpe",
        "viking"
      })
  void ggufMetadataGivesTheIdsOfTheTokenizersLibrary(String name) {
    var folder = TokenizerFixtures.folder("tokenizers/" + name);
    compare(
        Tokenizers.fromGguf(
            TokenizerFixtures.gguf(TokenizerFixtures.json(folder.resolve("gguf.json")))),
        TokenizerFixtures.json(folder.resolve("goldens.json")));
  }

  @ParameterizedTest
  @ValueSource(strings = {"sentencepiece-bpe", "sentencepiece-unigram"})
  void ggufMetadataGivesTheIdsOfSentencePiece(String name) {
    JsonNode fixture =
        TokenizerFixtures.json(TokenizerFixtures.folder("tokenizers/" + name).resolve("gguf.json"));
    Tokenizer tokenizer = Tokenizers.fromGguf(TokenizerFixtures.gguf(fixture.path("metadata")));
    SoftAssertions softly = new SoftAssertions();
    for (JsonNode golden : fixture.path("cases")) {
      String text = golden.path("text").asString();
      int[] ids = tokenizer.encode(text, false);
      softly.assertThat(ids).as(text).isEqualTo(TokenizerFixtures.ints(golden.path("plain")));
      softly.assertThat(tokenizer.decode(ids, true)).isEqualTo(golden.path("decoded").asString());
    }
    softly.assertAll();
  }

  private static void compare(Tokenizer tokenizer, JsonNode goldens) {
    assertThat(goldens.size()).isGreaterThan(100);
    SoftAssertions softly = new SoftAssertions();
    for (JsonNode golden : goldens) {
      String text = golden.path("text").asString();
      int[] ids = TokenizerFixtures.ints(golden.path("ids"));
      int[] plain = TokenizerFixtures.ints(golden.path("plain"));
      softly.assertThat(tokenizer.encode(text, true)).as("special: %s", text).isEqualTo(ids);
      if (IntStream.of(plain).noneMatch(tokenizer.special()::endsGeneration)) {
        softly.assertThat(tokenizer.encode(text, false)).as("plain: %s", text).isEqualTo(plain);
      } else {
        // The library's unigram model lets control tokens out of plain text; ours must not.
        softly
            .assertThat(IntStream.of(tokenizer.encode(text, false)))
            .as("plain: %s", text)
            .noneMatch(tokenizer.special()::endsGeneration);
      }
      softly
          .assertThat(tokenizer.decode(plain, false))
          .as("decode: %s", text)
          .isEqualTo(golden.path("decoded").asString());
      softly
          .assertThat(tokenizer.decode(ids, true))
          .as("skip: %s", text)
          .isEqualTo(golden.path("skipped").asString());
    }
    softly.assertAll();
  }
}
