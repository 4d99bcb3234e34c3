package dev.kvdrive.text;

import java.util.Set;

/**
 * Spellings of special tokens that end an answer in the known chat formats. Model files often name
 * one end token where the model uses two ({@code <|eot_id|>} beside {@code <|end_of_text|>}).
 */
final class EndOfGeneration {

  private static final Set<String> NAMES =
      Set.of(
          "<|eot_id|>",
          "<|eom_id|>",
          "<|end_of_text|>",
          "<|im_end|>",
          "<|end|>",
          "<|endoftext|>",
          "<|return|>",
          "<|call|>",
          "<end_of_turn>",
          "<end_of_utterance>",
          "<|end▁of▁sentence|>",
          "<|END_OF_TURN_TOKEN|>",
          "<EOT>",
          "<eos>",
          "</s>");

  private EndOfGeneration() {}

  static boolean isNamed(String piece) {
    return NAMES.contains(piece);
  }
}
