package dev.kvdrive.server.openai;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.text.PromptText;
import dev.kvdrive.text.SpecialTokens;
import dev.kvdrive.text.TokenStream;
import dev.kvdrive.text.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Where tokens stand in the text that they make. */
class TokenAlignmentTest {
  private static final int CONTROL = 256;

  /** One token for each byte, one that writes nothing, and some of several bytes. */
  private static final class Bytes implements Tokenizer {
    private final boolean strips;
    private final List<byte[]> words = new ArrayList<>();

    Bytes(boolean strips, String... words) {
      this.strips = strips;
      for (String word : words) {
        this.words.add(word.getBytes(StandardCharsets.UTF_8));
      }
    }

    @Override
    public int[] encode(CharSequence text, boolean parseSpecial) {
      throw new UnsupportedOperationException();
    }

    @Override
    public int[] encode(PromptText prompt) {
      throw new UnsupportedOperationException();
    }

    @Override
    public String decode(int[] ids, boolean skipSpecial) {
      throw new UnsupportedOperationException();
    }

    @Override
    public byte[] bytes(int id) {
      if (id == CONTROL) {
        return "<|end|>".getBytes(StandardCharsets.UTF_8);
      }
      return id < CONTROL ? new byte[] {(byte) id} : words.get(id - CONTROL - 1);
    }

    @Override
    public String piece(int id) {
      return Integer.toString(id);
    }

    @Override
    public boolean isSpecial(int id) {
      return id == CONTROL;
    }

    @Override
    public boolean stripsLeadingSpace() {
      return strips;
    }

    @Override
    public int vocabularySize() {
      return CONTROL + 1 + words.size();
    }

    @Override
    public SpecialTokens special() {
      return new SpecialTokens(OptionalInt.empty(), OptionalInt.empty(), Set.of(), false, false);
    }
  }

  /** What a client sees of a generation. */
  private record Seen(String text, List<Integer> ids, List<Integer> offsets) {}

  private static Seen generate(
      Tokenizer tokenizer, boolean continuation, List<String> stops, int... ids) {
    TokenStream stream =
        continuation
            ? TokenStream.continuing(tokenizer, stops)
            : TokenStream.answering(tokenizer, stops);
    TokenAlignment alignment = new TokenAlignment(tokenizer, continuation);
    StringBuilder text = new StringBuilder();
    List<PlacedToken> placed = new ArrayList<>();
    for (int id : ids) {
      String more = stream.accept(id);
      text.append(more);
      placed.addAll(alignment.accept(new GeneratedToken(id, more, -1, List.of())));
      if (stream.stop().isPresent()) {
        break;
      }
    }
    String last = stream.finish();
    text.append(last);
    placed.addAll(alignment.finish(last));
    return new Seen(
        text.toString(),
        placed.stream().map(p -> p.token().id()).toList(),
        placed.stream().map(PlacedToken::offset).toList());
  }

  @Test
  void offsetsCountCodePoints() {
    Tokenizer tokenizer = new Bytes(false, "日本", "🙂", "ab");
    Seen seen = generate(tokenizer, true, List.of(), 257, 258, 259, 258, 'x');
    assertThat(seen.text()).isEqualTo("日本🙂ab🙂x");
    assertThat(seen.offsets()).containsExactly(0, 2, 3, 5, 6);
  }

  @Test
  void aTokenInsideACharacterStandsWhereTheCharacterBegins() {
    byte[] smile = "🙂".getBytes(StandardCharsets.UTF_8);
    Seen seen =
        generate(
            new Bytes(false),
            true,
            List.of(),
            'a',
            smile[0] & 255,
            smile[1] & 255,
            smile[2] & 255,
            smile[3] & 255,
            'b');
    assertThat(seen.text()).isEqualTo("a🙂b");
    assertThat(seen.offsets()).containsExactly(0, 1, 1, 1, 1, 2);
  }

  @Test
  void aTokenThatWritesNothingStandsInFrontOfWhatFollows() {
    Seen seen = generate(new Bytes(false), true, List.of(), 'a', CONTROL, 'b', CONTROL);
    assertThat(seen.text()).isEqualTo("ab");
    assertThat(seen.ids()).containsExactly((int) 'a', CONTROL, (int) 'b', CONTROL);
    assertThat(seen.offsets()).containsExactly(0, 1, 1, 2);
  }

  @Test
  void bytesThatAreNoTextTakeTheirPlaceInIt() {
    // A lead byte without its rest, a stray continuation, and a character cut off by the end.
    Seen seen = generate(new Bytes(false), true, List.of(), 0xe6, 'a', 0x80, 'b', 0xf0, 0x9f);
    assertThat(seen.text()).isEqualTo("\ufffda\ufffdb\ufffd");
    assertThat(seen.offsets()).containsExactly(0, 1, 2, 3, 4, 4);
  }

  @Test
  void whatAStopCutOffIsNotReported() {
    Seen seen = generate(new Bytes(false), true, List.of("cd"), 'a', 'b', CONTROL, 'c', 'd', 'e');
    assertThat(seen.text()).isEqualTo("ab");
    assertThat(seen.ids()).containsExactly((int) 'a', (int) 'b');
  }

  @Test
  void theSpaceThatAnAnswerLosesIsNotCounted() {
    Seen seen = generate(new Bytes(true, " Hello", " sea"), false, List.of(), 257, 258, '!');
    assertThat(seen.text()).isEqualTo("Hello sea!");
    assertThat(seen.offsets()).containsExactly(0, 5, 9);
  }

  @Test
  void anySequenceOfBytesIsPlacedWhole() {
    Random random = new Random(7);
    Tokenizer tokenizer = new Bytes(false, "é", "日本", "🙂!", " the");
    for (int round = 0; round < 500; round++) {
      int[] ids = random.ints(30, 0, tokenizer.vocabularySize()).toArray();
      Seen seen = generate(tokenizer, true, List.of(), ids);
      assertThat(seen.ids()).hasSize(30);
      assertThat(seen.offsets()).isSorted();
      int length = seen.text().codePointCount(0, seen.text().length());
      for (int i = 0; i < 30; i++) {
        String token = new String(tokenizer.bytes(ids[i]), StandardCharsets.UTF_8);
        if (ids[i] != CONTROL && !token.contains("\ufffd")) {
          int at = seen.text().offsetByCodePoints(0, seen.offsets().get(i));
          assertThat(seen.text().substring(at)).startsWith(token);
        }
        assertThat(seen.offsets().get(i)).isLessThanOrEqualTo(length);
      }
    }
  }
}
