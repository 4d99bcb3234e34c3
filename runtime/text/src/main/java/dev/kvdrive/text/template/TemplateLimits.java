package dev.kvdrive.text.template;

/**
 * What one rendering may take.
 *
 * @param outputChars length of the output and of any text on the way
 * @param producedChars length of all texts produced on the way together; bounds the memory
 * @param steps evaluated expressions, loop turns and list elements
 * @param depth nesting of expressions, blocks and macro calls
 */
public record TemplateLimits(int outputChars, long producedChars, long steps, int depth) {

  /** Room for a prompt of several million tokens. */
  public static final TemplateLimits DEFAULT =
      new TemplateLimits(32 << 20, 160L << 20, 20_000_000, 400);
}
