package dev.kvdrive.bench.speed;

import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.Device;
import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.KvOperations;
import dev.kvdrive.device.Operations;
import dev.kvdrive.device.TensorOperations;
import dev.kvdrive.device.WindowOperations;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.TreeMap;

/**
 * Where the time of decode steps goes on a device that runs what is submitted at once, as the CPU
 * device does: the nanoseconds of each verb, by its interface and name. A verb costs about a tenth
 * of a microsecond more so.
 *
 * <p>Belongs to the engine thread.
 */
public final class StageClock {
  private final Map<String, long[]> nanos = new TreeMap<>();

  /** The device with its verbs timed. */
  public Device watch(Device device) {
    Operations own = device.operations();
    Operations timed =
        new Operations(
            timed(TensorOperations.class, "tensor", own.tensor()),
            timed(KvOperations.class, "kv", own.kv()),
            timed(IndexOperations.class, "index", own.index()),
            timed(WindowOperations.class, "window", own.window()),
            timed(AttentionOperations.class, "attention", own.attention()));
    InvocationHandler rest =
        (proxy, method, arguments) ->
            method.getName().equals("operations") ? timed : invoke(method, device, arguments);
    return proxy(Device.class, rest);
  }

  private <T> T timed(Class<T> type, String group, T verbs) {
    return proxy(
        type,
        (proxy, method, arguments) -> {
          long from = System.nanoTime();
          try {
            return invoke(method, verbs, arguments);
          } finally {
            nanos.computeIfAbsent(group + "." + method.getName(), _ -> new long[1])[0] +=
                System.nanoTime() - from;
          }
        });
  }

  private static <T> T proxy(Class<T> type, InvocationHandler handler) {
    return type.cast(
        Proxy.newProxyInstance(StageClock.class.getClassLoader(), new Class<?>[] {type}, handler));
  }

  private static Object invoke(Method method, Object target, Object[] arguments) throws Throwable {
    try {
      return method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      throw e.getTargetException();
    }
  }

  /** Starts again from nothing. */
  public void restart() {
    nanos.clear();
  }

  /** Nanoseconds of each verb since the start. */
  public Map<String, Long> nanos() {
    Map<String, Long> all = new TreeMap<>();
    nanos.forEach((verb, sum) -> all.put(verb, sum[0]));
    return all;
  }
}
