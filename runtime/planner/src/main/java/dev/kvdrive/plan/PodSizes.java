package dev.kvdrive.plan;

/**
 * What a runtime pod asks Kubernetes for.
 *
 * @param heapBytes maximum Java heap
 * @param directBytes limit of the JVM's direct buffers (network I/O)
 * @param memoryBytes memory request and limit: heap, JVM overhead, DRAM tier and, on a CPU device,
 *     the GPU tier
 * @param volumeBytes size of the NVMe volume; 0 for none
 */
public record PodSizes(long heapBytes, long directBytes, long memoryBytes, long volumeBytes) {}
