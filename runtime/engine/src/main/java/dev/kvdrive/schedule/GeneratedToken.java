package dev.kvdrive.schedule;

import java.util.List;

/**
 * One generated token.
 *
 * @param id token id
 * @param text text that became certain with this token: whole characters, nothing that may still
 *     turn out to be part of a stop string
 * @param logprob natural logarithm of its probability after softmax of the raw logits; NaN if not
 *     asked for
 * @param top the most likely alternatives, best first; empty if not asked for
 */
public record GeneratedToken(int id, String text, float logprob, List<TokenLogprob> top) {
  /** A token and its log-probability. */
  public record TokenLogprob(int id, float logprob) {}
}
