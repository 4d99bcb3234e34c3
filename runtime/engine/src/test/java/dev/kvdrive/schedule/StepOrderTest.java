package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.decode.DecodeOptions;
import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.ReferenceDevice;
import dev.kvdrive.device.WindowOperations;
import dev.kvdrive.model.Golden;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Where all queues of a device run in the order of submission, what a layer misses on NVMe is
 * waited for as late as can be, so that the drive works while something is computed.
 */
class StepOrderTest {
  private static final Set<String> SEEN =
      Set.of("best", "fetch", "land", "begin", "hits", "misses", "finish");

  @TempDir Path directory;

  private final List<String> verbs = new ArrayList<>();

  @Test
  void oneSequenceIsWaitedForBehindAllThatNeedsNoMisses() {
    assertThat(layer(1, 1, false))
        .containsExactly("best", "fetch", "begin", "hits", "land", "misses", "finish");
  }

  @Test
  void oneMicroBatchIsWaitedForWhenTheNextHasSelected() {
    assertThat(layer(2, 2, false))
        .containsExactly(
            "best", "fetch", "best", "land", "fetch", "begin", "hits", "misses", "hits", "land",
            "misses", "finish");
  }

  @Test
  void queuesThatOverlapAreWaitedForByEvents() {
    assertThat(layer(1, 1, true))
        .containsExactly("best", "fetch", "land", "begin", "hits", "misses", "finish");
  }

  /** What is submitted of the first layer of a step with so many sequences. */
  private List<String> layer(int seats, int microBatches, boolean queuesOverlap) {
    EngineShape shape = EngineShape.tight(0.3).withSeats(seats).with(microBatches, false);
    try (Model model = ModelLoader.open(Golden.file("llama3"), 0, ModelLoader.Verification.FULL);
        ReferenceDevice device =
            new ReferenceDevice(EngineTest.CAPACITY, Long.MAX_VALUE, ElementType.F32);
        ForwardPass pass =
            new ForwardPass(
                watched(device, queuesOverlap),
                model,
                shape
                    .settings(model.geometry(), device, directory)
                    .withDecode(
                        of ->
                            new DecodeOptions(
                                true, microBatches, false, Duration.ofSeconds(20))))) {
      int[] all = new int[seats];
      for (int seat = 0; seat < seats; seat++) {
        all[seat] = seat;
        pass.prefill(seat, EngineTest.prompt(seat, 150));
      }
      verbs.clear();
      pass.step(all, EngineTest.prompt(1, seats));
    }
    return verbs.subList(0, verbs.indexOf("finish") + 1);
  }

  private Device watched(Device device, boolean queuesOverlap) {
    Operations own = device.operations();
    Operations seen =
        new Operations(
            own.tensor(),
            own.kv(),
            seen(IndexOperations.class, own.index()),
            seen(WindowOperations.class, own.window()),
            seen(AttentionOperations.class, own.attention()));
    return proxy(
        Device.class,
        (_, method, arguments) ->
            switch (method.getName()) {
              case "operations" -> seen;
              case "queuesOverlap" -> queuesOverlap;
              default -> method.invoke(device, arguments);
            });
  }

  private <T> T seen(Class<T> type, T of) {
    return proxy(
        type,
        (_, method, arguments) -> {
          if (SEEN.contains(method.getName())) {
            verbs.add(method.getName());
          }
          return method.invoke(of, arguments);
        });
  }

  private static <T> T proxy(Class<T> type, InvocationHandler call) {
    return type.cast(
        Proxy.newProxyInstance(
            type.getClassLoader(),
            new Class<?>[] {type},
            (proxy, method, arguments) -> {
              try {
                return call.invoke(proxy, method, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause() == null ? e : e.getCause();
              }
            }));
  }
}
