package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Misses come from DRAM frames, or through the mailbox from the host, or are faults. */
public abstract class FetchConformance extends DeviceConformance {
  private static final int LONG_MILLIS = 20_000;
  private static final int SHORT_MILLIS = 30;

  private final List<MailboxHost> hosts = new ArrayList<>();

  static List<LayerSizes> sizes() {
    return LayerSizes.ofAllChunks();
  }

  @AfterEach
  void endHosts() {
    hosts.forEach(MailboxHost::close);
  }

  /** Both devices with a host each, taken through the same calls. */
  private final class Pair {
    final LayerContents contents;
    final LayerOnDevice actual;
    final LayerOnDevice expected;
    final MailboxHost actualHost;
    final MailboxHost expectedHost;
    final AtomicInteger rings = new AtomicInteger();

    Pair(LayerContents contents, MailboxHost.Host host) {
      this.contents = contents;
      actual = new LayerOnDevice(subject, contents, rings::incrementAndGet);
      expected = new LayerOnDevice(oracle, contents);
      actualHost = new MailboxHost(actual, contents, host);
      expectedHost = new MailboxHost(expected, contents, host);
      hosts.add(actualHost);
      hosts.add(expectedHost);
    }

    /** Diff, fetch and land of a pass; compares everything. */
    void pass(int pass, int timeoutMillis) {
      pass(actual, actualHost, pass, timeoutMillis);
      pass(expected, expectedHost, pass, timeoutMillis);
      LayerResults a = actual.results();
      a.assertSameAs(expected.results(), contents, pass);
      assertWindows(a);
      assertThat(actual.mailbox.acquire(Mailbox.STOPPED))
          .as("stopped")
          .isEqualTo(expected.mailbox.acquire(Mailbox.STOPPED));
      assertThat(actualHost.rounds()).as("requests").isEqualTo(expectedHost.rounds());
    }

    private static void pass(LayerOnDevice layer, MailboxHost host, int pass, int timeoutMillis) {
      layer.diff(pass);
      layer.fetch(pass);
      if (timeoutMillis == SHORT_MILLIS) {
        // What the host will not serve it shall not serve before the wait begins.
        layer.rig.queue.synchronize();
        host.awaitAnswers();
      }
      layer.land(pass, timeoutMillis);
      layer.rig.queue.synchronize();
    }

    /** Every slot with a chunk has the bytes of that chunk. */
    private void assertWindows(LayerResults results) {
      byte[] window = subject.read(actual.layer.window().chunks());
      LayerSizes sizes = contents.sizes;
      int bytes = contents.layout.resident().bytes();
      for (int seat = 0; seat < sizes.seats(); seat++) {
        for (int head = 0; head < sizes.kvHeads(); head++) {
          for (int slot = 0; slot < sizes.windowSlots(seat, head); slot++) {
            int at = contents.slotAt(seat, head, slot);
            if (results.chunkOfSlot[at] >= 0) {
              assertThat(Arrays.copyOfRange(window, at * bytes, (at + 1) * bytes))
                  .as("slot %d of head %d of seat %d", slot, head, seat)
                  .isEqualTo(contents.resident(seat, head, results.chunkOfSlot[at]));
            }
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void whatIsPrefetchedComesFromFramesAndTheRestLeavesTheWindowWithoutAFault(LayerSizes sizes) {
    LayerContents contents = selecting(sizes, 29);
    for (int head = 0; head < sizes.kvHeads(); head++) {
      contents.onlyOnNvme(SelectConformance.seat(0), head, 2);
    }
    Pair pair = new Pair(contents, (seat, head, chunk) -> MailboxHost.Answer.FAIL);
    for (LayerOnDevice layer : List.of(pair.actual, pair.expected)) {
      layer.diff(0);
      layer.prefetch(0);
    }
    LayerResults results = pair.actual.results();
    results.assertSameAs(pair.expected.results(), contents, 0);
    pair.assertWindows(results);
    int missing = sizes.kvHeads() * contents.layout.extentChunks();
    assertThat(results.counter(0, Selection.FAULT_COUNTER)).isZero();
    assertThat(results.counter(0, Selection.DRAM_COUNTER))
        .isEqualTo(65 * sizes.kvHeads() - missing);
    assertThat(pair.actualHost.rounds()).isEmpty();
    // What stayed is a hit in the step itself.
    pair.actual.diff(0);
    assertThat(pair.actual.results().counter(0, Selection.HITS_COUNTER))
        .isEqualTo(65 * sizes.kvHeads() - missing);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void aPrefetchedChunkIsCreditedWhenItIsHitForTheFirstTimeAndNoMissIs(LayerSizes sizes) {
    LayerContents contents = selecting(sizes, 29);
    for (int head = 0; head < sizes.kvHeads(); head++) {
      contents.onlyOnNvme(SelectConformance.seat(0), head, 2);
    }
    Pair pair = new Pair(contents, (seat, head, chunk) -> MailboxHost.Answer.DELIVER);
    int missing = sizes.kvHeads() * contents.layout.extentChunks();
    for (LayerOnDevice layer : List.of(pair.actual, pair.expected)) {
      layer.diff(0);
      layer.prefetch(0);
      assertThat(Arrays.stream(layer.rig.readInts(layer.marks)).sum()).isPositive();
      layer.diff(0);
      layer.credit(0);
      assertThat(Arrays.stream(layer.rig.readInts(layer.marks)).sum()).isZero();
      // A second use is no merit of the prefetch any more.
      layer.diff(0);
      layer.credit(0);
    }
    LayerResults results = pair.actual.results();
    results.assertSameAs(pair.expected.results(), contents, 0);
    assertThat(results.counter(0, Selection.PREFETCHED_COUNTER))
        .isEqualTo(65 * sizes.kvHeads() - missing);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void missesComeFromFrames(LayerSizes sizes) {
    Pair pair = new Pair(selecting(sizes, 30), (seat, head, chunk) -> MailboxHost.Answer.FAIL);
    pair.pass(0, LONG_MILLIS);
    LayerResults results = pair.actual.results();
    assertThat(results.counter(0, Selection.DRAM_COUNTER)).isEqualTo(65 * sizes.kvHeads());
    assertThat(pair.actualHost.rounds()).isEmpty();
    assertThat(pair.actual.mailbox.acquire(Mailbox.ROUND)).isZero();
    // The second time everything is a hit.
    pair.pass(0, LONG_MILLIS);
    assertThat(pair.actual.results().counter(0, Selection.HITS_COUNTER))
        .isEqualTo(65 * sizes.kvHeads());
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void whatIsOnlyOnNvmeComesThroughTheMailbox(LayerSizes sizes) {
    LayerContents contents = selecting(sizes.withWindow(17, 16), 31);
    spread(contents);
    Pair pair = new Pair(contents, (seat, head, chunk) -> MailboxHost.Answer.DELIVER);
    for (int pass = 0; pass < 5; pass++) {
      pair.pass(pass, LONG_MILLIS);
    }
    LayerResults results = pair.actual.results();
    int dram = results.counter(0, Selection.DRAM_COUNTER);
    int nvme = results.counter(0, Selection.NVME_COUNTER);
    assertThat(dram).isPositive();
    assertThat(nvme).isPositive();
    assertThat(dram + nvme).isEqualTo(65 * sizes.kvHeads());
    assertThat(results.counter(0, Selection.FAULT_COUNTER)).isZero();
    assertThat(pair.actual.mailbox.acquire(Mailbox.ROUND)).isEqualTo(5);
  }

  @Test
  void aChunkThatCannotBeReadIsAFaultOfItsRowAndLeavesItsSlotEmpty() {
    LayerContents contents = selecting(LayerSizes.groups().get(3), 32);
    spread(contents);
    int seat = SelectConformance.seat(0);
    // Chunk 13 lies in extent 4, which is on NVMe.
    Pair pair =
        new Pair(
            contents,
            (s, head, chunk) ->
                s == seat && head == 1 && chunk == 13
                    ? MailboxHost.Answer.FAIL
                    : MailboxHost.Answer.DELIVER);
    pair.pass(0, LONG_MILLIS);
    LayerResults results = pair.actual.results();
    assertThat(results.counter(0, Selection.FAULT_COUNTER)).isEqualTo(1);
    assertThat(results.slots(0, 1, 65)[13]).isEqualTo(-1);
    for (int row = 1; row < contents.sizes.rows(); row++) {
      assertThat(results.counter(row, Selection.FAULT_COUNTER)).isZero();
    }
    assertThat(pair.actual.mailbox.acquire(Mailbox.STOPPED)).isZero();
  }

  @Test
  void whatDoesNotComeInTimeStopsTheMailboxForTheRestOfTheStep() {
    LayerContents contents = selecting(LayerSizes.groups().get(1).withWindow(17, 16), 33);
    spread(contents);
    Pair pair = new Pair(contents, (seat, head, chunk) -> MailboxHost.Answer.IGNORE);
    pair.pass(0, SHORT_MILLIS);
    assertThat(pair.actual.mailbox.acquire(Mailbox.STOPPED)).isEqualTo(1);
    LayerResults results = pair.actual.results();
    int faults = results.counter(0, Selection.FAULT_COUNTER);
    assertThat(faults).isPositive();
    for (int pass = 1; pass < 5; pass++) {
      pair.pass(pass, LONG_MILLIS); // would take that long if it waited
    }
    results = pair.actual.results();
    assertThat(results.counter(0, Selection.FAULT_COUNTER)).isGreaterThan(faults);
    assertThat(results.counter(0, Selection.NVME_COUNTER)).isZero();
    assertThat(
            results.counter(0, Selection.FAULT_COUNTER)
                + results.counter(0, Selection.DRAM_COUNTER))
        .isEqualTo(65 * contents.sizes.kvHeads());
    assertThat(pair.actual.mailbox.acquire(Mailbox.ROUND)).isEqualTo(1);
  }

  @Test
  void ofARoundThatWasServedInPartTheRestIsAFault() {
    LayerContents contents = selecting(LayerSizes.groups().get(4), 34);
    spread(contents);
    Pair pair =
        new Pair(
            contents,
            (seat, head, chunk) ->
                chunk % 2 == 0 ? MailboxHost.Answer.DELIVER : MailboxHost.Answer.IGNORE);
    pair.pass(0, SHORT_MILLIS);
    LayerResults results = pair.actual.results();
    assertThat(results.counter(0, Selection.FAULT_COUNTER)).isPositive();
    assertThat(results.counter(0, Selection.NVME_COUNTER)).isPositive();
    assertThat(pair.actual.mailbox.acquire(Mailbox.STOPPED)).isEqualTo(1);
  }

  @Test
  void aMailboxThatWasStoppedBeforeIsNotAsked() {
    LayerContents contents = selecting(LayerSizes.groups().get(0), 35);
    spread(contents);
    Pair pair = new Pair(contents, (seat, head, chunk) -> MailboxHost.Answer.DELIVER);
    for (LayerOnDevice layer : List.of(pair.actual, pair.expected)) {
      layer.mailbox.release(Mailbox.STOPPED, 1);
    }
    pair.pass(0, LONG_MILLIS);
    LayerResults results = pair.actual.results();
    assertThat(results.counter(0, Selection.FAULT_COUNTER)).isPositive();
    assertThat(pair.actual.mailbox.acquire(Mailbox.ROUND)).isZero();
    assertThat(pair.rings).hasValue(0);
    // Once the host has cleared it, what was a fault is fetched.
    for (LayerOnDevice layer : List.of(pair.actual, pair.expected)) {
      layer.mailbox.release(Mailbox.STOPPED, 0);
    }
    pair.pass(0, LONG_MILLIS);
    assertThat(pair.actual.results().counter(0, Selection.NVME_COUNTER)).isPositive();
  }

  @Test
  void aRoundWithoutRequestsIsNotAnnounced() {
    LayerContents contents = selecting(LayerSizes.groups().get(5), 36);
    for (int head = 0; head < contents.sizes.kvHeads(); head++) {
      contents.onlyOnNvme(SelectConformance.seat(0), head, 0);
    }
    Pair pair = new Pair(contents, (seat, head, chunk) -> MailboxHost.Answer.DELIVER);
    pair.pass(0, LONG_MILLIS);
    assertThat(pair.actual.mailbox.acquire(Mailbox.ROUND)).isEqualTo(1);
    pair.pass(0, LONG_MILLIS);
    assertThat(pair.actual.mailbox.acquire(Mailbox.ROUND)).isEqualTo(1);
    assertThat(pair.actual.mailbox.acquire(Mailbox.COUNT)).isZero();
  }

  /** All closed chunks of all rows, in passes, with empty windows. */
  private LayerContents selecting(LayerSizes sizes, long seed) {
    LayerContents contents = SelectConformance.sequences(sizes, activations(), seed);
    for (int row = 0; row < sizes.rows(); row++) {
      int closed = SelectConformance.chunks(row);
      if (closed >= 0) {
        contents.row(row, SelectConformance.seat(row), closed);
        int[] chunks = new int[closed];
        Arrays.setAll(chunks, i -> i);
        contents.selectInAllHeads(row, chunks);
      }
    }
    return contents;
  }

  /** Leaves every second extent on NVMe only, others for each KV head. */
  static void spread(LayerContents contents) {
    LayerSizes sizes = contents.sizes;
    for (int seat = 0; seat < sizes.seats(); seat++) {
      for (int head = 0; head < sizes.kvHeads(); head++) {
        int extents = contents.layout.extents(contents.closed(seat));
        for (int extent = 0; extent < extents; extent++) {
          if ((extent + seat + head) % 2 == 0) {
            contents.onlyOnNvme(seat, head, extent);
          }
        }
      }
    }
  }
}
