package dev.kvdrive.bench.token;

import dev.kvdrive.device.IndexOperations;
import dev.kvdrive.device.IndexOperations.Score;
import dev.kvdrive.device.Queue;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.function.BiConsumer;

/** Hears with which queries chunks are scored, and lets the device do this and all the rest. */
final class SpeculatedQueries {
  private SpeculatedQueries() {}

  /**
   * The verbs of an index, of which {@code listener} is told every score before it is submitted.
   */
  static IndexOperations of(IndexOperations index, BiConsumer<Queue, Score> listener) {
    return (IndexOperations)
        Proxy.newProxyInstance(
            IndexOperations.class.getClassLoader(),
            new Class<?>[] {IndexOperations.class},
            (proxy, verb, arguments) -> {
              if (arguments != null
                  && arguments.length == 2
                  && arguments[1] instanceof Score score) {
                listener.accept((Queue) arguments[0], score);
              }
              try {
                return verb.invoke(index, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
