package dev.kvdrive.server.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.plan.RequestMemory;
import dev.kvdrive.server.openai.ApiException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.springframework.core.io.buffer.DefaultDataBufferFactory;

/** The bodies in the heap are never more than the plan has room for. */
class BodyBudgetTest {
  private static final int LARGEST = 4 * BodyBudget.SMALL_BYTES;
  private static final long ROOM = 4L * LARGEST;

  private static BodyBudget budget() {
    return new BodyBudget(
        new RequestMemory(100, LARGEST, ROOM, (long) LARGEST * RequestMemory.WORK_PER_BODY_BYTE));
  }

  /** A body as the test knows it. */
  private static final class Body {
    final BodyBudget.Share share;
    final BodyBytes bytes;
    final int announced;

    Body(BodyBudget.Share share, int announced) {
      this.share = share;
      this.announced = announced;
      this.bytes = new BodyBytes(share, announced, LARGEST);
    }
  }

  @Property(tries = 300)
  void noSequenceOfBodiesTakesMoreThanTheRoom(
      @ForAll @Size(max = 200) List<@IntRange(min = 0, max = 1 << 22) Integer> moves) {
    BodyBudget budget = budget();
    List<Body> open = new ArrayList<>();
    for (int move : moves) {
      int which = move & 7;
      int amount = Math.min(move >> 3, LARGEST);
      if (which < 3) {
        // Two in three say how long they are.
        int announced = which == 0 ? -1 : amount;
        try {
          open.add(new Body(budget.take(announced), announced));
        } catch (ApiException refused) {
          assertThat(refused.status()).isEqualTo(429);
          assertThat(budget.takenBytes() + Math.max(announced, BodyBudget.LEAST_BYTES))
              .isGreaterThan(budget.roomFor(announced));
        }
      } else if (!open.isEmpty()) {
        Body body = open.get(amount % open.size());
        if (which < 6) {
          grow(budget, body, amount);
        } else if (which == 6) {
          body.share.close();
          open.remove(body);
        } else {
          int size = body.bytes.size();
          byte[] whole = budget.work(body.share, size, body.bytes::join);
          assertThat(whole).hasSize(size);
          open.remove(body);
        }
      }
      long held = open.stream().mapToLong(body -> body.bytes.allocatedBytes()).sum();
      assertThat(held).isLessThanOrEqualTo(budget.takenBytes());
      assertThat(budget.takenBytes()).isBetween(0L, ROOM);
      assertThat(budget.bodies()).isEqualTo(open.size());
    }
    open.forEach(body -> body.share.close());
    assertThat(budget.takenBytes()).isZero();
    assertThat(budget.bodies()).isZero();
  }

  private static void grow(BodyBudget budget, Body body, int amount) {
    int count = body.announced < 0 ? amount : Math.min(amount, body.announced - body.bytes.size());
    long before = budget.takenBytes();
    int size = body.bytes.size();
    try {
      boolean fits = body.bytes.add(DefaultDataBufferFactory.sharedInstance.wrap(new byte[count]));
      assertThat(fits).isEqualTo(size + count <= LARGEST);
    } catch (ApiException refused) {
      assertThat(refused.status()).isEqualTo(429);
      assertThat(body.announced).as("what was announced has its room").isNegative();
    }
    if (body.announced >= BodyBudget.LEAST_BYTES) {
      assertThat(budget.takenBytes()).isEqualTo(before);
    }
  }

  @Test
  void largeBodiesLeaveRoomForSmallOnes() {
    BodyBudget budget = budget();
    List<BodyBudget.Share> large =
        List.of(budget.take(LARGEST), budget.take(LARGEST), budget.take(LARGEST));
    assertThatThrownBy(() -> budget.take(LARGEST)).isInstanceOf(ApiException.class);
    BodyBudget.Share grown = budget.take(-1);
    grown.ensure(BodyBudget.SMALL_BYTES);
    assertThatThrownBy(() -> grown.ensure(BodyBudget.SMALL_BYTES + 1))
        .isInstanceOf(ApiException.class);
    large.forEach(BodyBudget.Share::close);
    grown.ensure(LARGEST);
    assertThat(budget.takenBytes()).isEqualTo(LARGEST);
  }

  @Test
  void whatIsReadIsWhatWasSent() {
    BodyBytes bytes = new BodyBytes(budget().take(-1), -1, LARGEST);
    byte[] sent = new byte[50_000];
    for (int i = 0; i < sent.length; i++) {
      sent[i] = (byte) ((i * 31) >> 3);
    }
    for (int at = 0, step = 1; at < sent.length; at += step, step = step * 2 % 4099 + 1) {
      int count = Math.min(step, sent.length - at);
      bytes.add(
          DefaultDataBufferFactory.sharedInstance.wrap(
              java.util.Arrays.copyOfRange(sent, at, at + count)));
    }
    assertThat(bytes.join()).isEqualTo(sent);
  }

  @Test
  void bytesStayTakenWhileSomebodyWorksOnThemAlthoughTheRequestIsOver() {
    BodyBudget budget = budget();
    BodyBudget.Share share = budget.take(5000);
    budget.work(
        share,
        5000,
        () -> {
          share.close();
          assertThat(budget.takenBytes()).isEqualTo(5000);
          return "";
        });
    assertThat(budget.takenBytes()).isZero();
  }

  @Test
  void nobodyWorksOnTheBodyOfARequestThatIsOver() {
    BodyBudget budget = budget();
    BodyBudget.Share share = budget.take(5000);
    share.close();
    assertThatThrownBy(() -> budget.work(share, 5000, () -> "")).isInstanceOf(ApiException.class);
    assertThat(budget.takenBytes()).isZero();
  }

  @Test
  void workWaitsUntilThereIsHeapForIt() throws InterruptedException {
    BodyBudget budget = budget();
    CountDownLatch working = new CountDownLatch(1);
    CountDownLatch go = new CountDownLatch(1);
    List<String> order = java.util.Collections.synchronizedList(new ArrayList<>());
    Thread first =
        Thread.ofPlatform()
            .start(
                () ->
                    budget.work(
                        budget.take(LARGEST),
                        LARGEST,
                        () -> {
                          working.countDown();
                          awaitQuietly(go);
                          order.add("first");
                          return "";
                        }));
    working.await();
    Thread second =
        Thread.ofPlatform()
            .start(
                () ->
                    budget.work(
                        budget.take(LARGEST / 2),
                        LARGEST / 2,
                        () -> {
                          order.add("second");
                          return "";
                        }));
    org.awaitility.Awaitility.await().until(() -> second.getState() == Thread.State.WAITING);
    assertThat(order).isEmpty();
    go.countDown();
    first.join();
    second.join();
    assertThat(order).containsExactly("first", "second");
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
