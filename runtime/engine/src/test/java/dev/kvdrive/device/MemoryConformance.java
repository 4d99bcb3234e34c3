package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.InstanceOfAssertFactories.STRING;

import dev.kvdrive.model.tensor.TensorType;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Device memory has a hard cap and is accounted to the byte; weights count as they say. */
public abstract class MemoryConformance extends DeviceConformance {
  private static final int ALIGNMENT = 256;

  @ParameterizedTest
  @ValueSource(longs = {1, 3, 255, 256, 4097, 1 << 20})
  void memoryIsZeroedAndAccountedUntilItIsClosed(long bytes) {
    long before = subject.device.usedBytes();
    DeviceBuffer buffer = subject.allocate("some memory", bytes);
    assertThat(buffer.bytes()).isEqualTo(bytes);
    assertThat(buffer.label()).isEqualTo("some memory");
    assertThat(subject.device.usedBytes() - before)
        .isBetween(bytes, Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT);
    assertThat(subject.read(buffer)).containsOnly(0);
    buffer.close();
    buffer.close();
    assertThat(subject.device.usedBytes()).isEqualTo(before);
  }

  @Test
  void memoryThatWasUsedBeforeIsZeroedAgain() {
    for (int round = 0; round < 4; round++) {
      DeviceBuffer buffer = subject.device.allocate("reused", 1 << 16);
      assertThat(subject.read(buffer)).containsOnly(0);
      subject.queue.fill(buffer, 0, 1 << 14, -1);
      subject.queue.synchronize();
      buffer.close();
    }
  }

  @Test
  void aSliceIsUsedAsThePartOfItsBufferThatItIs() {
    DeviceBuffer whole = subject.ints("whole", 1, 2, 3, 4, 5, 6, 7, 8);
    DeviceSlice middle = new DeviceSlice(whole, 8, 16);
    long used = subject.device.usedBytes();
    assertThat(subject.readInts(middle)).containsExactly(3, 4, 5, 6);
    subject.queue.fill(middle, 4, 2, -1);
    subject.queue.copy(middle, 0, whole, 28, 4);
    assertThat(subject.readInts(whole)).containsExactly(1, 2, 3, -1, -1, 6, 7, 3);
    middle.close();
    assertThat(subject.device.usedBytes()).isEqualTo(used);
    assertThatThrownBy(() -> new DeviceSlice(whole, 20, 16))
        .hasMessageContaining("bytes 20 to 36")
        .hasMessageContaining("whole");
  }

  @Test
  void anAllocationBeyondTheCapIsRefusedWithTheNumbersAndChangesNothing() {
    DeviceBuffer most = subject.allocate("most", CAPACITY - CAPACITY / 8);
    long used = subject.device.usedBytes();
    assertThatThrownBy(() -> subject.device.allocate("one window too many", CAPACITY / 4))
        .isInstanceOf(DeviceMemoryException.class)
        .extracting(e -> String.valueOf(e.getMessage()).replace(",", ""), STRING)
        .contains("one window too many")
        .contains(Long.toString(CAPACITY / 4))
        .contains(Long.toString(used))
        .contains(Long.toString(subject.device.capacityBytes()));
    assertThat(subject.device.usedBytes()).isEqualTo(used);
    assertThat(subject.device.capacityBytes()).isEqualTo(CAPACITY);
    most.close();
    subject.allocate("one window", CAPACITY / 4).close();
  }

  @Test
  void aWeightBeyondTheCapIsRefused() {
    subject.allocate("most", CAPACITY - (1 << 16));
    long used = subject.device.usedBytes();
    float[] values = new float[256 * 256];
    assertThatThrownBy(() -> subject.weight("a heavy weight", Blocks.of(256, 256, values)))
        .isInstanceOf(DeviceMemoryException.class)
        .hasMessageContaining("a heavy weight");
    assertThat(subject.device.usedBytes()).isEqualTo(used);
  }

  @ParameterizedTest
  @ValueSource(longs = {0, -1, Long.MIN_VALUE})
  void sizesThatAreNotPositiveAreRefused(long bytes) {
    assertThatThrownBy(() -> subject.device.allocate("nothing", bytes))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("nothing");
    assertThatThrownBy(() -> subject.device.allocateHost("nothing", bytes))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("nothing");
  }

  @Test
  void hostMemoryIsZeroedAlignedAndAccountedOnItsOwn() {
    long host = subject.device.hostBytes();
    long used = subject.device.usedBytes();
    HostBuffer buffer = subject.allocateHost("staging", 10_000);
    assertThat(buffer.bytes()).isEqualTo(10_000);
    assertThat(buffer.label()).isEqualTo("staging");
    assertThat(buffer.segment().address() % 4096).isZero();
    assertThat(buffer.segment().toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
    assertThat(subject.device.hostBytes() - host).isBetween(10_000L, 3 * 4096L);
    assertThat(subject.device.usedBytes()).isEqualTo(used);
    buffer.close();
    buffer.close();
    assertThat(subject.device.hostBytes()).isEqualTo(host);
    assertThatThrownBy(() -> buffer.segment().get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void hostMemoryHasAHardCapThatCountsWholePages() {
    Device capped = open(CAPACITY, 5 * 4096);
    assertThat(capped.hostCapacityBytes()).isEqualTo(5 * 4096);
    HostBuffer byteOfAPage = capped.allocateHost("one byte", 1);
    HostBuffer pages = capped.allocateHost("three pages and a byte", 3 * 4096 + 1);
    assertThat(capped.hostBytes()).isEqualTo(5 * 4096);
    assertThatThrownBy(() -> capped.allocateHost("one frame too many", 1))
        .isInstanceOf(DeviceMemoryException.class)
        .hasMessageContaining("one frame too many needs 4,096 bytes of host memory")
        .hasMessageContaining("20,480 of the budget of 20,480");
    byteOfAPage.close();
    capped.allocateHost("a frame", 4096).close();
    pages.close();
    assertThat(capped.hostBytes()).isZero();
    capped.close();
  }

  @Test
  void useOfClosedMemoryIsDetected() {
    HostBuffer host = subject.allocateHost("staging", 64);
    DeviceBuffer closed = subject.device.allocate("closed memory", 64);
    closed.close();
    assertThatThrownBy(
            () -> {
              subject.queue.upload(host, 0, closed, 0, 64);
              subject.queue.synchronize();
            })
        .isInstanceOf(RuntimeException.class);
    DeviceBuffer open = subject.allocate("open memory", 64);
    assertThat(subject.read(open)).containsOnly(0);
  }

  @Test
  void threadsAllocateAtOnceWithoutExceedingTheCap() throws Exception {
    long used = subject.device.usedBytes();
    ThreadFactory platform = Thread.ofPlatform().factory();
    try (ExecutorService threads = Executors.newFixedThreadPool(4, platform)) {
      List<Future<Integer>> results = new ArrayList<>();
      for (int thread = 0; thread < 4; thread++) {
        results.add(threads.submit(this::allocateUntilFull));
      }
      int refusals = 0;
      for (Future<Integer> result : results) {
        refusals += result.get();
      }
      assertThat(refusals).isPositive();
    }
    assertThat(subject.device.usedBytes()).isEqualTo(used);
  }

  private int allocateUntilFull() {
    int refusals = 0;
    for (int round = 0; round < 4; round++) {
      List<DeviceBuffer> taken = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        try {
          taken.add(subject.device.allocate("share", CAPACITY / 11));
        } catch (DeviceMemoryException e) {
          refusals++;
        }
        assertThat(subject.device.usedBytes()).isLessThanOrEqualTo(CAPACITY);
      }
      taken.forEach(DeviceBuffer::close);
    }
    return refusals;
  }

  @Test
  void aWeightCountsTheBytesItSays() {
    SplittableRandom random = new SplittableRandom(1);
    long used = subject.device.usedBytes();
    Weight weight =
        subject.weight(
            "projection",
            Blocks.random(random, TensorType.Q8_0, 64, 96),
            Blocks.random(random, TensorType.BF16, 32, 96));
    assertThat(weight.name()).isEqualTo("projection");
    assertThat(weight.rows()).isEqualTo(96);
    assertThat(weight.cols()).isEqualTo(96);
    assertThat(weight.bytes()).isGreaterThanOrEqualTo(TensorType.Q8_0.bytes(96) * 64);
    assertThat(subject.device.usedBytes() - used).isEqualTo(weight.bytes());
    weight.close();
    weight.close();
    assertThat(subject.device.usedBytes()).isEqualTo(used);
  }

  @Test
  void partsOfDifferentWidthAreNotStacked() {
    Blocks narrow = Blocks.of(2, 3, new float[6]);
    Blocks wide = Blocks.of(2, 4, new float[8]);
    assertThatThrownBy(() -> subject.weight("crooked", narrow, wide))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("crooked");
    assertThatThrownBy(() -> subject.weight("empty"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("empty");
    assertThat(subject.device.usedBytes()).isEqualTo(subject.usedAtStart);
  }

  @Test
  void closingTheDeviceFreesWhatIsLeft() {
    Device device = open(1 << 20);
    DeviceBuffer buffer = device.allocate("left over", 1000);
    HostBuffer host = device.allocateHost("left over", 1000);
    device.close();
    assertThat(device.usedBytes()).isZero();
    assertThat(device.hostBytes()).isZero();
    buffer.close();
    host.close();
    assertThat(device.usedBytes()).isZero();
    assertThat(device.hostBytes()).isZero();
    assertThatThrownBy(() -> device.allocate("after close", 8)).isInstanceOf(DeviceException.class);
  }

  @Test
  void saysWhatItIs() {
    assertThat(subject.device.description()).isNotBlank();
  }
}
