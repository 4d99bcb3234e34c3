package dev.kvdrive.text;

import java.util.OptionalInt;
import java.util.Set;

/**
 * The tokens that frame a sequence.
 *
 * @param bos beginning of sequence
 * @param eos end of sequence
 * @param endOfGeneration every id after which a generation is over (contains eos)
 * @param addBos whether a raw prompt gets {@code bos} in front ({@link Tokenizer#encodePrompt})
 * @param addEos whether a raw prompt gets {@code eos} at its end
 */
public record SpecialTokens(
    OptionalInt bos,
    OptionalInt eos,
    Set<Integer> endOfGeneration,
    boolean addBos,
    boolean addEos) {

  public SpecialTokens {
    endOfGeneration = Set.copyOf(endOfGeneration);
  }

  /** Whether the generation is over with this token. */
  public boolean endsGeneration(int id) {
    return endOfGeneration.contains(id);
  }
}
