package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class ChunkGridTest {
  private static final ChunkGrid GRID = ChunkGrid.PAPER;

  @Property
  void everyTokenIsInSinkOrAClosedChunkOrTheRing(
      @ForAll @IntRange(min = 0, max = 5000) int tokens) {
    int sink = Math.min(tokens, GRID.sink());
    int chunks = GRID.closedChunks(tokens) * GRID.chunk();
    assertThat(sink + chunks + GRID.ringTokens(tokens)).isEqualTo(tokens);
  }

  @Property
  void theRingHoldsAtLeastTheLocalTokensOnceThereAreSoMany(
      @ForAll @IntRange(min = 68, max = 5000) int tokens) {
    assertThat(GRID.ringTokens(tokens)).isBetween(GRID.local(), GRID.local() + GRID.chunk() - 1);
  }

  @Property
  void tokensInTheRingHaveDifferentSlots(@ForAll @IntRange(min = 5, max = 5000) int tokens) {
    int count = GRID.ringTokens(tokens);
    long slots =
        java.util.stream.IntStream.range(tokens - count, tokens)
            .map(GRID::ringSlot)
            .distinct()
            .count();
    assertThat(slots).isEqualTo(count);
  }
}
