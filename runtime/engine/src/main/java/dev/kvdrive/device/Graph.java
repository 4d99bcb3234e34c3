package dev.kvdrive.device;

/**
 * A recorded sequence of operations that can be launched again. What it reads and writes are the
 * buffers of the recording; values that change from step to step must therefore lie in buffers.
 */
public interface Graph extends AutoCloseable {
  @Override
  void close();
}
