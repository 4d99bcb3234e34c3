package dev.kvdrive.bench.token;

import dev.kvdrive.plan.WindowOptions;
import java.util.List;
import java.util.stream.Collectors;

/** A published method that attends single tokens. */
public interface TokenMethod {
  /** As users write it. */
  String word();

  /** Bytes that its index has of a token and KV head, with 16-bit elements. */
  double indexBytes(int headDim);

  /** The index of the closed tokens of a prompt, of one (layer, KV head). */
  TokenIndex index(ClosedTokens of);

  /** How many of a prompt's last tokens it wants the queries of; none unless it says so. */
  default int queries() {
    return 0;
  }

  /** Whether it chooses by queries that are predicted before the layer computes. */
  default boolean speculates() {
    return false;
  }

  /** The windows of the engine below, which predicts queries where it fetches ahead by them. */
  default WindowOptions windows(WindowOptions asked) {
    return speculates() ? asked.withPrefetch(true) : asked;
  }

  /** Whether a layer attends everything. */
  default boolean dense(int layer) {
    return false;
  }

  /** Those there are. */
  static List<TokenMethod> all() {
    return List.of(
        new RetroInfer(),
        new PqCache(),
        new ArkVale(),
        new InfiniGen(),
        new MagicPig(),
        new ParisKv());
  }

  /** Their names. */
  static String words() {
    return all().stream().map(TokenMethod::word).collect(Collectors.joining(", "));
  }
}
