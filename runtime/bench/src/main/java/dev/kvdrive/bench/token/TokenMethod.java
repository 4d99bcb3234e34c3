package dev.kvdrive.bench.token;

import java.util.List;
import java.util.stream.Collectors;

/** A published method that attends single tokens. */
public interface TokenMethod {
  /** As users write it. */
  String word();

  /** Bytes that its index has of a token and KV head, with 16-bit elements. */
  double indexBytes(int headDim);

  /** The index of the closed tokens of a prompt, of one (layer, KV head). */
  TokenIndex index(Rows keys, Rows values, float scale);

  /** Those there are. */
  static List<TokenMethod> all() {
    return List.of(new RetroInfer(), new PqCache(), new ArkVale());
  }

  /** Their names. */
  static String words() {
    return all().stream().map(TokenMethod::word).collect(Collectors.joining(", "));
  }
}
