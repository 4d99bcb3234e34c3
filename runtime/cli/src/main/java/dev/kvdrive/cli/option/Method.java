package dev.kvdrive.cli.option;

import dev.kvdrive.bench.token.TokenMethod;
import dev.kvdrive.plan.PolicyShape;
import org.jspecify.annotations.Nullable;

/**
 * What is measured: a policy, or a method that attends single tokens beside the policy that is used
 * by default.
 *
 * @param name as users write it
 * @param policy of the engine
 * @param tokens takes the place of its attention; null for a policy
 */
public record Method(String name, PolicyShape policy, @Nullable TokenMethod tokens) {
  /** A policy. */
  public static Method of(PolicyShape policy) {
    return new Method(policy.name(), policy, null);
  }

  /** What is kept of a token, in a word. */
  public String index() {
    return tokens == null ? policy.index().word() : tokens.word();
  }

  /**
   * What a user has named.
   *
   * @throws IllegalArgumentException if there is none, with those there are
   */
  static Method named(String name) {
    for (TokenMethod method : TokenMethod.all()) {
      if (method.word().equals(name)) {
        return new Method(name, PolicyShape.KVDRIVE, method);
      }
    }
    try {
      return of(PolicyShape.named(name));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          e.getMessage() + "; and for their accuracy only " + TokenMethod.words(), e);
    }
  }
}
