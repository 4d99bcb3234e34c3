package dev.kvdrive.operator;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class LeadTest {
  private final AtomicInteger ends = new AtomicInteger();
  private final Lead lead = new Lead(ends::incrementAndGet);

  @Test
  void aLostLeaseEndsTheProcess() {
    lead.callbacks().onStopLeading();

    assertThat(ends).hasValue(1);
  }

  @Test
  void aLeaseGivenBackDoesNot() {
    lead.giveUp();
    lead.callbacks().onStopLeading();

    assertThat(ends).hasValue(0);
  }
}
