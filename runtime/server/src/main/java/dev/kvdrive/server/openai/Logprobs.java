package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.GeneratedToken;
import dev.kvdrive.text.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Log-probabilities in the shapes of both endpoints. */
final class Logprobs {
  /** What stands for minus infinity, which JSON does not have. */
  private static final double SMALLEST = -9999.0;

  /** {@code logprobs} of a chat choice. */
  record Chat(List<Token> content) {}

  /**
   * One token.
   *
   * @param token its text; bytes that are no UTF-8 of their own become U+FFFD
   * @param bytes what it really is
   */
  record Token(String token, double logprob, List<Integer> bytes, List<Alternative> topLogprobs) {}

  /** One of the most likely tokens. */
  record Alternative(String token, double logprob, List<Integer> bytes) {}

  /**
   * {@code logprobs} of a text completion.
   *
   * @param topLogprobs the likeliest tokens and the chosen one
   * @param textOffset code points, as Python counts, of the choice's text before each token
   */
  record Text(
      List<String> tokens,
      List<Double> tokenLogprobs,
      List<Map<String, Double>> topLogprobs,
      List<Integer> textOffset) {}

  private Logprobs() {}

  static Chat chat(Tokenizer tokenizer, List<PlacedToken> tokens) {
    List<Token> content = new ArrayList<>(tokens.size());
    for (PlacedToken placed : tokens) {
      GeneratedToken token = placed.token();
      List<Alternative> top = new ArrayList<>(token.top().size());
      for (GeneratedToken.TokenLogprob one : token.top()) {
        byte[] bytes = tokenizer.bytes(one.id());
        top.add(new Alternative(string(bytes), finite(one.logprob()), list(bytes)));
      }
      byte[] bytes = tokenizer.bytes(token.id());
      content.add(new Token(string(bytes), finite(token.logprob()), list(bytes), top));
    }
    return new Chat(content);
  }

  /** Text completion. */
  static Text text(Tokenizer tokenizer, List<PlacedToken> tokens) {
    List<String> texts = new ArrayList<>(tokens.size());
    List<Double> logprobs = new ArrayList<>(tokens.size());
    List<Map<String, Double>> top = new ArrayList<>(tokens.size());
    List<Integer> offsets = new ArrayList<>(tokens.size());
    for (PlacedToken placed : tokens) {
      GeneratedToken token = placed.token();
      String text = string(tokenizer.bytes(token.id()));
      texts.add(text);
      logprobs.add(finite(token.logprob()));
      Map<String, Double> alternatives = new LinkedHashMap<>();
      for (GeneratedToken.TokenLogprob one : token.top()) {
        // Two tokens may read alike; the more likely one comes first and stays.
        alternatives.putIfAbsent(string(tokenizer.bytes(one.id())), finite(one.logprob()));
      }
      // The chosen token is always among them, whether it is one of the likeliest or not.
      alternatives.put(text, finite(token.logprob()));
      top.add(alternatives);
      offsets.add(placed.offset());
    }
    return new Text(texts, logprobs, top, offsets);
  }

  private static double finite(float logprob) {
    return Float.isFinite(logprob) ? logprob : SMALLEST;
  }

  private static String string(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static List<Integer> list(byte[] bytes) {
    List<Integer> list = new ArrayList<>(bytes.length);
    for (byte b : bytes) {
      list.add(b & 0xff);
    }
    return list;
  }
}
