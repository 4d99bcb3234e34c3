package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
class ComputePoolTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 9})
  void runsEveryTaskOnceWhateverTheThreads(int threads) {
    try (ComputePool pool = new ComputePool(threads)) {
      assertThat(pool.threads()).isEqualTo(threads);
      for (int tasks : new int[] {0, 1, 2, 3, 8, 1000}) {
        AtomicIntegerArray runs = new AtomicIntegerArray(tasks + 1);
        pool.run(tasks, (task, thread) -> runs.incrementAndGet(task));
        for (int i = 0; i < tasks; i++) {
          assertThat(runs.get(i)).as("task %d of %d", i, tasks).isEqualTo(1);
        }
      }
    }
  }

  /** Long gaps let workers park, short ones leave them spinning; no region may hang or be lost. */
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 6})
  void losesNoWakeUpOverManyTinyRegions(int threads) {
    try (ComputePool pool = new ComputePool(threads)) {
      int[] sums = new int[64];
      ComputePool.Task task = (t, thread) -> sums[t] += t + 1;
      int regions = 20_000;
      for (int region = 0; region < regions; region++) {
        pool.run(1 + region % sums.length, task);
        if (region % 1000 == 999) {
          LockSupport.parkNanos(Duration.ofMillis(1).toNanos());
        }
      }
      for (int t = 0; t < sums.length; t++) {
        int runs = 0;
        for (int region = 0; region < regions; region++) {
          runs += region % sums.length >= t ? 1 : 0;
        }
        assertThat(sums[t]).as("task %d", t).isEqualTo(runs * (t + 1));
      }
    }
  }

  @Test
  void noTwoTasksHaveAThreadIndexAtTheSameTime() {
    try (ComputePool pool = new ComputePool(4)) {
      AtomicIntegerArray busy = new AtomicIntegerArray(4);
      AtomicInteger clashes = new AtomicInteger();
      for (int region = 0; region < 500; region++) {
        pool.run(
            50,
            (task, thread) -> {
              if (busy.incrementAndGet(thread) != 1) {
                clashes.incrementAndGet();
              }
              busy.decrementAndGet(thread);
            });
      }
      assertThat(clashes).hasValue(0);
    }
  }

  /** Two tasks that wait for each other end only if a worker, parked by now, takes one of them. */
  @Test
  void workersTakePartAfterTheyParked() {
    try (ComputePool pool = new ComputePool(2)) {
      for (int region = 0; region < 20; region++) {
        LockSupport.parkNanos(Duration.ofMillis(2).toNanos());
        CountDownLatch both = new CountDownLatch(2);
        pool.run(
            2,
            (task, thread) -> {
              both.countDown();
              await(both);
            });
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void rethrowsAFailureAndGoesOn(int threads) {
    try (ComputePool pool = new ComputePool(threads)) {
      for (int region = 0; region < 200; region++) {
        IllegalStateException failure = new IllegalStateException("task 7");
        assertThatThrownBy(
                () ->
                    pool.run(
                        20,
                        (task, thread) -> {
                          if (task == 7) {
                            throw failure;
                          }
                        }))
            .isSameAs(failure);
        AtomicInteger runs = new AtomicInteger();
        pool.run(20, (task, thread) -> runs.incrementAndGet());
        assertThat(runs).hasValue(20);
      }
      AssertionError error = new AssertionError("an error, too");
      assertThatThrownBy(
              () ->
                  pool.run(
                      4,
                      (task, thread) -> {
                        throw error;
                      }))
          .isSameAs(error);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void refusesRegionsWithinRegions(int threads) {
    try (ComputePool pool = new ComputePool(threads)) {
      AtomicInteger refused = new AtomicInteger();
      pool.run(
          16,
          (task, thread) -> {
            assertThatIllegalStateException()
                .isThrownBy(() -> pool.run(2, (t, u) -> {}))
                .withMessage("a task may not start a region of the pool that runs it");
            assertThatIllegalStateException().isThrownBy(pool::close);
            refused.incrementAndGet();
          });
      assertThat(refused).hasValue(16);
    }
  }

  @Test
  void aTaskMayUseAnotherPool() {
    try (ComputePool outer = new ComputePool(2);
        ComputePool inner = new ComputePool(2)) {
      AtomicInteger runs = new AtomicInteger();
      outer.run(8, (task, thread) -> inner.run(4, (t, u) -> runs.incrementAndGet()));
      assertThat(runs).hasValue(32);
    }
  }

  /** Regions of several callers run one after the other: their tasks never mix. */
  @Test
  void servesSeveralCallers() throws InterruptedException {
    try (ComputePool pool = new ComputePool(3)) {
      AtomicInteger owner = new AtomicInteger();
      AtomicInteger mixed = new AtomicInteger();
      List<Thread> callers = new ArrayList<>();
      AtomicInteger runs = new AtomicInteger();
      for (int c = 0; c < 3; c++) {
        int me = c;
        callers.add(
            Thread.ofPlatform()
                .start(
                    () -> {
                      for (int region = 0; region < 2000; region++) {
                        pool.run(
                            5,
                            (task, thread) -> {
                              owner.set(me);
                              runs.incrementAndGet();
                              if (owner.get() != me) {
                                mixed.incrementAndGet();
                              }
                            });
                      }
                    }));
      }
      for (Thread caller : callers) {
        caller.join();
      }
      assertThat(runs).hasValue(3 * 2000 * 5);
      assertThat(mixed).hasValue(0);
    }
  }

  @Test
  void anInterruptedCallerStillGetsAllItsTasksDoneAndStaysInterrupted() {
    try (ComputePool pool = new ComputePool(2)) {
      AtomicInteger runs = new AtomicInteger();
      Thread.currentThread().interrupt();
      pool.run(100, (task, thread) -> runs.incrementAndGet());
      assertThat(Thread.interrupted()).isTrue();
      assertThat(runs).hasValue(100);
    }
  }

  @Test
  void endsItsThreads() {
    ComputePool pool = new ComputePool(3);
    List<Thread> workers = new ArrayList<>();
    CountDownLatch all = new CountDownLatch(3);
    pool.run(
        3,
        (task, thread) -> {
          synchronized (workers) {
            workers.add(Thread.currentThread());
          }
          all.countDown();
          await(all);
        });
    workers.remove(Thread.currentThread());
    assertThat(workers).hasSize(2).allMatch(Thread::isDaemon);
    pool.close();
    assertThat(workers).noneMatch(Thread::isAlive);
    pool.close();
    assertThatIllegalStateException()
        .isThrownBy(() -> pool.run(1, (task, thread) -> {}))
        .withMessage("the compute pool is closed");
  }

  @Test
  void needsAThread() {
    assertThatIllegalArgumentException().isThrownBy(() -> new ComputePool(0));
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
