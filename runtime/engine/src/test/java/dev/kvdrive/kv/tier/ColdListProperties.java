package dev.kvdrive.kv.tier;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class ColdListProperties {
  private record Offer(int extent, int priority, long created) {}

  @Property
  void givesTheLowestPrioritiesInOrderTheOlderFirst(
      @ForAll @Size(max = 200) List<@IntRange(min = -5, max = 5) Integer> priorities,
      @ForAll @IntRange(min = 1, max = 50) int capacity) {
    ColdList list = new ColdList(capacity);
    for (int round = 0; round < 2; round++) { // a list can be used again
      List<Offer> offers = new ArrayList<>();
      list.begin();
      for (int i = 0; i < priorities.size(); i++) {
        Offer offer = new Offer(i, priorities.get(i), (i * 7919L) % 1009);
        offers.add(offer);
        list.offer(offer.extent(), offer.priority(), offer.created());
      }
      list.end();
      List<Integer> wanted =
          offers.stream()
              .sorted(Comparator.comparingInt(Offer::priority).thenComparingLong(Offer::created))
              .limit(capacity)
              .map(Offer::extent)
              .toList();
      List<Integer> got = new ArrayList<>();
      while (list.remaining() > 0) {
        got.add(list.frame(0));
        list.remove(0);
      }
      assertThat(got).isEqualTo(wanted);
    }
  }
}
