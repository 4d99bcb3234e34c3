package dev.kvdrive.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

/** Incremental text is the whole text, up to the first stop string. */
class TokenStreamTest {

  private static final Tokenizer GPT2 = TokenizerFixtures.tokenizer("gpt2");
  private static final Tokenizer LLAMA2 = TokenizerFixtures.tokenizer("llama2");

  private static final Arbitrary<String> CHARACTERS =
      Arbitraries.of("a", "b", "c", "d", " ", "\n", "<", "|", "é", "ß", "你", "🙂", "🚀");

  @Provide
  Arbitrary<String> texts() {
    return CHARACTERS.list().ofMaxSize(60).map(all -> String.join("", all));
  }

  @Provide
  Arbitrary<List<String>> stops() {
    return CHARACTERS
        .list()
        .ofMinSize(1)
        .ofMaxSize(4)
        .map(all -> String.join("", all))
        .list()
        .ofMaxSize(3);
  }

  /** Tokens of random cuts of the bytes, so that code points are cut, too. */
  private static int[] randomTokens(String text, Random random) {
    Ids ids = new Ids();
    int from = 0;
    while (from < text.length()) {
      int to = Math.min(text.length(), from + 1 + random.nextInt(4));
      if (to < text.length() && Character.isLowSurrogate(text.charAt(to))) {
        to++;
      }
      ids.addAll(GPT2.encode(text.substring(from, to), false));
      from = to;
    }
    return ids.toArray();
  }

  private static String reference(String text, List<String> stops) {
    for (int end = 1; end <= text.length(); end++) {
      int cut = -1;
      for (String stop : stops) {
        if (text.startsWith(stop, end - stop.length())) {
          cut = cut < 0 ? end - stop.length() : Math.min(cut, end - stop.length());
        }
      }
      if (cut >= 0) {
        return text.substring(0, cut);
      }
    }
    return text;
  }

  @Property(tries = 500)
  void anySplitIntoTokensGivesTheTextBeforeTheFirstStop(
      @ForAll("texts") String text, @ForAll("stops") List<String> stops, @ForAll long seed) {
    TokenStream stream = TokenStream.continuing(GPT2, stops);
    List<String> pieces = new ArrayList<>();
    for (int id : randomTokens(text, new Random(seed))) {
      pieces.add(stream.accept(id));
    }
    pieces.add(stream.finish());
    String expected = reference(text, stops);
    assertThat(String.join("", pieces)).isEqualTo(expected);
    assertThat(stream.stop().isPresent()).isEqualTo(expected.length() < text.length());
    for (String piece : pieces) {
      boolean halves =
          !piece.isEmpty()
              && (Character.isLowSurrogate(piece.charAt(0))
                  || Character.isHighSurrogate(piece.charAt(piece.length() - 1)));
      assertThat(halves).as("half a code point in %s", pieces).isFalse();
    }
  }

  @Property(tries = 200)
  void aByteLevelTextComesBackFromItsTokens(@ForAll String text) {
    String valid =
        new String(Utf8.of(text, 0, text.length()), java.nio.charset.StandardCharsets.UTF_8);
    for (String name : List.of("gpt2", "llama3", "smollm", "tekken", "phi4-mini")) {
      Tokenizer tokenizer = TOKENIZERS.computeIfAbsent(name, TokenizerFixtures::tokenizer);
      assertThat(tokenizer.decode(tokenizer.encode(valid, false), false)).as(name).isEqualTo(valid);
    }
  }

  private static final java.util.Map<String, Tokenizer> TOKENIZERS =
      new java.util.concurrent.ConcurrentHashMap<>();

  @Test
  void textThatMayBeTheBeginningOfAStopIsHeldBack() {
    TokenStream stream = TokenStream.continuing(GPT2, List.of("abc"));
    StringBuilder early = new StringBuilder();
    for (int id : GPT2.encode("xxab", false)) {
      early.append(stream.accept(id));
    }
    assertThat(early.toString()).isEqualTo("xx");
    assertThat(stream.finish()).isEqualTo("ab");
    assertThat(stream.stop()).isEmpty();
  }

  @Test
  void anIncompleteCodePointAtTheEndBecomesAReplacementCharacter() {
    TokenStream stream = TokenStream.continuing(GPT2, List.of());
    int[] ids = GPT2.encode("🙂", false);
    assertThat(ids).hasSizeGreaterThan(1);
    assertThat(stream.accept(ids[0])).isEmpty();
    assertThat(stream.finish()).isEqualTo("\uFFFD");
  }

  @Test
  void anAnswerLosesTheSpaceOfTheVocabularyAndAContinuationKeepsIt() {
    int[] ids = LLAMA2.encode("is it", false);
    String answer = "";
    String continuation = "";
    TokenStream answering = TokenStream.answering(LLAMA2, List.of());
    TokenStream continuing = TokenStream.continuing(LLAMA2, List.of());
    for (int id : ids) {
      answer += answering.accept(id);
      continuation += continuing.accept(id);
    }
    assertThat(answer + answering.finish()).isEqualTo("is it");
    assertThat(continuation + continuing.finish()).isEqualTo(" is it");
  }

  @Test
  void specialTokensAddNoText() {
    Tokenizer qwen = TokenizerFixtures.tokenizer("qwen2");
    TokenStream stream = TokenStream.continuing(qwen, List.of());
    StringBuilder text = new StringBuilder();
    for (int id : qwen.encode("a<|im_end|>b", true)) {
      text.append(stream.accept(id));
    }
    assertThat(text.append(stream.finish()).toString()).isEqualTo("ab");
  }
}
