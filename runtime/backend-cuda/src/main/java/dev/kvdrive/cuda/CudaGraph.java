package dev.kvdrive.cuda;

import dev.kvdrive.device.DeviceException;
import dev.kvdrive.device.Graph;
import jcuda.driver.CUgraphExec;
import org.jspecify.annotations.Nullable;

/** An instantiated graph. */
final class CudaGraph implements Graph {
  private final Driver driver;
  private final int nodes;
  private @Nullable CUgraphExec exec;

  CudaGraph(Driver driver, CUgraphExec exec, int nodes) {
    this.driver = driver;
    this.exec = exec;
    this.nodes = nodes;
  }

  /** Kernels, copies and fills in it. */
  int nodes() {
    return nodes;
  }

  CUgraphExec exec() {
    if (exec == null) {
      throw new DeviceException("a graph was launched after it was closed");
    }
    return exec;
  }

  @Override
  public void close() {
    if (exec != null) {
      driver.enter();
      driver.destroy(exec);
      exec = null;
    }
  }
}
