package dev.kvdrive.plan;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What requests may take grows with what a runtime can run, and the pod has room for it. */
class RequestMemoryTest {
  @ParameterizedTest
  @CsvSource({
    "128, 1, 0",
    "2048, 64, 512",
    "32768, 16, 128",
    "1048576, 4, 32",
    "8000000, 1024, 8192"
  })
  void theLargestBodyCanAlwaysBeReadAndWorkedOn(int context, int seats, int queue) {
    RequestMemory memory = RequestMemory.of(context, seats, queue);
    assertThat(memory.bodyBytes()).isGreaterThanOrEqualTo(4L * memory.largestBodyBytes());
    assertThat(memory.workBytes())
        .isGreaterThanOrEqualTo(
            (long) RequestMemory.WORK_PER_BODY_BYTE * memory.largestBodyBytes());
    assertThat(memory.connections()).isGreaterThan(2 * (seats + queue));
    assertThat(memory.heapBytes()).isGreaterThan(memory.bodyBytes() + memory.workBytes());
    assertThat(memory.directBytes())
        .isGreaterThan(
            (long) memory.connections() * (RequestMemory.READ_BYTES + RequestMemory.WRITE_BYTES));
  }

  @Test
  void aBodyHoldsEveryPromptOfTheContext() {
    assertThat(RequestMemory.of(128, 1, 8).largestBodyBytes()).isEqualTo(1 << 20);
    assertThat(RequestMemory.of(131_072, 1, 8).largestBodyBytes()).isEqualTo(131_072 * 32);
  }
}
