package dev.kvdrive.device;

import dev.kvdrive.plan.Workspace;

/**
 * How soon the chunks of a layer are selected again: what windows are divided by. Beside the
 * windows themselves, so that it sees what a window of any size would.
 *
 * @param lastSelected {@code int[seats][kvHeads][maxChunks]} position of the token that selected
 *     the chunk last, or -1
 * @param ages {@code int[seats][kvHeads][CLASSES]} how often a selected chunk had an age of that
 *     class
 */
public record LayerReuse(DeviceBuffer lastSelected, DeviceBuffer ages) {
  /** Classes of ages, two for each power of two, and one for chunks never selected before. */
  public static final int CLASSES = Workspace.REUSE_CLASSES;

  /** The class of chunks that were never selected before. */
  public static final int NEVER = CLASSES - 1;

  /**
   * The class of an age.
   *
   * @param age positions since a chunk was selected, at least 1
   */
  public static int classOf(int age) {
    int power = 31 - Integer.numberOfLeadingZeros(age);
    return power == 0 ? 0 : Math.min(NEVER - 1, 2 * power - 1 + (age >> (power - 1) & 1));
  }

  /** The lowest age of a class but {@link #NEVER}. */
  public static int lowestAge(int ageClass) {
    int power = (ageClass + 1) / 2;
    return power == 0 ? 1 : (1 << power) + (ageClass % 2 == 0 ? 1 << (power - 1) : 0);
  }
}
