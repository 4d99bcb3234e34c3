package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.DeviceFactory;
import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.ReferenceDevice;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.device.WindowOperations;
import dev.kvdrive.kv.tier.ExtentFile;
import dev.kvdrive.model.source.ModelSource;
import dev.kvdrive.plan.DeviceKind;
import dev.kvdrive.schedule.EngineDrainingException;
import dev.kvdrive.server.serving.EngineStart;
import dev.kvdrive.server.serving.MachineCheck;
import dev.kvdrive.server.serving.StartFailure;
import dev.kvdrive.server.settings.RuntimeSettings;
import dev.kvdrive.server.settings.SettingNames;
import dev.kvdrive.server.settings.TierBytesConverter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.context.properties.bind.Bindable;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.source.MapConfigurationPropertySource;
import org.springframework.core.convert.support.DefaultConversionService;

/**
 * A start that is closed, at whatever stage, ends with nothing but that it was, and with everything
 * given back in the right order.
 */
class CloseWhileStartingTest {
  /** Threads of runtimes that other tests of this JVM have started. */
  private final Set<Thread> others = Thread.getAllStackTraces().keySet();

  @TempDir Path folder;

  /** Closes the start from another thread as soon as it reaches a stage. */
  private static final class Closer {
    private final String stage;
    private final AtomicReference<@Nullable EngineStart> start = new AtomicReference<>();
    private final Thread thread;

    Closer(String stage) {
      this.stage = stage;
      thread =
          new Thread(
              () -> {
                EngineStart closed = start.get();
                if (closed != null) {
                  closed.close();
                }
              },
              "closer");
    }

    /** Returns once the closing has ended, or waits for the caller's thread. */
    void reached(String step) {
      if (step.startsWith(stage) && thread.getState() == Thread.State.NEW) {
        thread.start();
        Awaitility.await()
            .pollInterval(Duration.ofMillis(1))
            .until(
                () ->
                    switch (thread.getState()) {
                      case TERMINATED, TIMED_WAITING -> true;
                      default -> false;
                    });
      }
    }
  }

  /** The reference device, whose stages are noticed, and which nobody may use once it is closed. */
  private static final class NoticedDevices implements DeviceFactory {
    private final Closer closer;
    private final AtomicBoolean usedAfterClose = new AtomicBoolean();
    private final AtomicReference<@Nullable ReferenceDevice> device = new AtomicReference<>();
    private volatile boolean closed;

    NoticedDevices(Closer closer) {
      this.closer = closer;
    }

    @Override
    public DeviceKind kind() {
      return DeviceKind.CPU;
    }

    @Override
    public @Nullable DeviceException unavailable() {
      return null;
    }

    @Override
    public Device open(long memoryBytes, long hostBytes, int threads) {
      closer.reached("device open");
      ReferenceDevice opened = new ReferenceDevice(memoryBytes, hostBytes, ElementType.F32);
      device.set(opened);
      Operations sound = opened.operations();
      Operations operations =
          new Operations(
              noticed(TensorOperations.class, sound.tensor()),
              noticed(KvOperations.class, sound.kv()),
              noticed(IndexOperations.class, sound.index()),
              noticed(WindowOperations.class, sound.window()),
              noticed(AttentionOperations.class, sound.attention()));
      return (Device)
          Proxy.newProxyInstance(
              Device.class.getClassLoader(),
              new Class<?>[] {Device.class},
              (proxy, method, arguments) ->
                  method.getName().equals("operations")
                      ? operations
                      : call(opened, method, arguments));
    }

    private <T> T noticed(Class<T> type, T target) {
      return type.cast(
          Proxy.newProxyInstance(
              type.getClassLoader(),
              new Class<?>[] {type},
              (proxy, method, arguments) -> call(target, method, arguments)));
    }

    private Object call(Object target, Method method, @Nullable Object[] arguments)
        throws Throwable {
      if (closed) {
        usedAfterClose.set(true);
      }
      closer.reached("device " + method.getName());
      try {
        return method.invoke(target, arguments);
      } catch (InvocationTargetException e) {
        throw e.getCause() == null ? e : e.getCause();
      } finally {
        if (target instanceof Device && method.getName().equals("close")) {
          closed = true;
        }
      }
    }
  }

  private RuntimeSettings settings() {
    DefaultConversionService conversion = new DefaultConversionService();
    conversion.addConverter(new TierBytesConverter());
    conversion.addConverter(String.class, Path.class, Path::of);
    return new Binder(
            List.of(
                new MapConfigurationPropertySource(
                    Map.of(
                        "kvdrive.model.uri",
                        ModelSource.BUILTIN,
                        "kvdrive.model.cache-dir",
                        folder.resolve("models").toString(),
                        "kvdrive.context-length",
                        "256",
                        "kvdrive.concurrency",
                        "2",
                        "kvdrive.tiers.gpu-bytes",
                        "48Mi",
                        "kvdrive.tiers.dram-bytes",
                        "24Mi",
                        "kvdrive.tiers.nvme-bytes",
                        "64Mi",
                        "kvdrive.tiers.nvme-dir",
                        folder.resolve("nvme").toString()))),
            null,
            conversion)
        .bindOrCreate("kvdrive", Bindable.of(RuntimeSettings.class));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        // what is told of the start: finding, opening, planning, starting the engine
        "finding model",
        "opening",
        "KVDrive Tiny",
        "loading and warming up",
        // calls of the device: opening it, weights, tiers, the warm-up's prefill and decode
        "device open",
        "device load",
        "device createQueue",
        "device allocate",
        "device allocateHost",
        "device embed",
        "device causal",
        "device append",
        "device logits"
      })
  void endsWithNothingButThat(String stage) throws Exception {
    Closer closer = new Closer(stage);
    NoticedDevices devices = new NoticedDevices(closer);
    EngineStart start =
        new EngineStart(
            settings(),
            devices,
            ExtentFile.Opener.FILES,
            new MachineCheck(Long.MAX_VALUE, Long.MAX_VALUE),
            Map.of(),
            new SettingNames(null),
            Clock.systemUTC());
    closer.start.set(start);
    Throwable end = null;
    try {
      start.start(closer::reached);
    } catch (StartFailure | EngineDrainingException e) {
      end = e;
    }
    closer.thread.join();
    assertThat(closer.thread.getState())
        .as("the stage was reached")
        .isEqualTo(Thread.State.TERMINATED);
    assertThat(end)
        .isNotNull()
        .message()
        .isIn("the runtime is shutting down", "the engine was closed while it started");
    assertThat(devices.usedAfterClose).as("the device is used after its end").isFalse();
    ReferenceDevice device = devices.device.get();
    if (device != null) {
      assertThat(device.usedBytes() + device.hostBytes()).isZero();
    }
    assertThat(Thread.getAllStackTraces().keySet())
        .noneMatch(
            thread -> thread.getName().startsWith("kvdrive-engine") && !others.contains(thread));
  }
}
