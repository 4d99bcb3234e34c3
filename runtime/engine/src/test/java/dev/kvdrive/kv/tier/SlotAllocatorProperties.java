package dev.kvdrive.kv.tier;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class SlotAllocatorProperties {
  @Property(tries = 200)
  void everySlotIsGivenOnceAndAllAreGiven(
      @ForAll @IntRange(min = 1, max = 400) int slots,
      @ForAll @IntRange(min = 1, max = 20) int streams,
      @ForAll long seed) {
    SlotAllocator allocator = new SlotAllocator(slots, streams, SlotProofs.checksums(slots));
    Random random = new Random(seed);
    List<Integer> taken = new ArrayList<>();
    Set<Integer> distinct = new HashSet<>();
    for (int i = 0; i < 3 * slots; i++) {
      if (!taken.isEmpty() && random.nextInt(3) == 0) {
        Collections.swap(taken, random.nextInt(taken.size()), taken.size() - 1);
        int slot = taken.removeLast();
        distinct.remove(slot);
        allocator.free(slot);
      } else {
        int slot = allocator.allocate(random.nextInt(streams));
        if (taken.size() == slots) {
          assertThat(slot).isEqualTo(-1);
        } else {
          assertThat(slot).isBetween(0, slots - 1);
          assertThat(distinct.add(slot)).isTrue();
          taken.add(slot);
        }
      }
      assertThat(allocator.freeSlots()).isEqualTo(slots - taken.size());
    }
  }

  @Property(tries = 50)
  void theSlotsOfAStreamLieTogetherWhileThereIsRoom(
      @ForAll @IntRange(min = 1, max = 8) int streams, @ForAll long seed) {
    SlotAllocator allocator =
        new SlotAllocator(
            streams * SlotAllocator.SEGMENT,
            streams,
            SlotProofs.checksums(streams * SlotAllocator.SEGMENT));
    Random random = new Random(seed);
    List<Set<Integer>> segments = new ArrayList<>();
    for (int stream = 0; stream < streams; stream++) {
      segments.add(new HashSet<>());
    }
    int[] given = new int[streams];
    for (int i = 0; i < streams * SlotAllocator.SEGMENT; i++) {
      int stream = random.nextInt(streams);
      while (given[stream] == SlotAllocator.SEGMENT) {
        stream = (stream + 1) % streams;
      }
      given[stream]++;
      segments.get(stream).add(allocator.allocate(stream) / SlotAllocator.SEGMENT);
    }
    assertThat(segments).allMatch(segment -> segment.size() == 1);
  }

  @Property(tries = 20)
  void whatIsNotTakenCannotBeFreed(@ForAll @IntRange(min = 1, max = 200) int slots) {
    SlotAllocator allocator = new SlotAllocator(slots, 1, SlotProofs.checksums(slots));
    int slot = allocator.allocate(0);
    allocator.free(slot);
    assertThatThrownBy(() -> allocator.free(slot)).isInstanceOf(IllegalStateException.class);
    assertThat(allocator.freeSlots()).isEqualTo(slots);
  }
}
