package dev.kvdrive.schedule;

/**
 * Random numbers of one request: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
 * Number Generators, 2014). Its own code so that a seed means the same tokens on every Java
 * version.
 */
final class RandomDraws {
  private static final long GAMMA = 0x9E3779B97F4A7C15L;

  private long state;

  RandomDraws(long seed) {
    state = seed;
  }

  /** The next 64 random bits; the same until {@link #advance}. */
  long bits() {
    long z = state + GAMMA;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }

  /** Goes on to the bits behind. */
  void advance() {
    state += GAMMA;
  }
}
