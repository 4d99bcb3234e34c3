package dev.kvdrive.feasibility;

import java.util.Map;

/**
 * A node with a GPU, as its labels describe it.
 *
 * @param name of the node
 * @param labels all of its labels, those of GPU feature discovery among them
 */
public record GpuNode(String name, Map<String, String> labels) {
  /** The label that every node has whose GPUs GPU feature discovery has looked at. */
  public static final String PRODUCT = "nvidia.com/gpu.product";

  public GpuNode {
    labels = Map.copyOf(labels);
  }
}
