package dev.kvdrive.plan;

/**
 * What a runtime pod asks Kubernetes for.
 *
 * @param heapBytes maximum Java heap
 * @param directBytes limit of the JVM's direct buffers (network I/O)
 * @param overheadBytes the JVM beside heap and direct buffers: code, threads, collector
 * @param memoryBytes memory request and limit: heap, direct buffers, JVM overhead, DRAM budget and,
 *     on a CPU device, the GPU budget
 * @param volumeBytes size of the NVMe volume; 0 for none
 * @param requests what of heap and direct buffers HTTP requests may take
 */
public record PodSizes(
    long heapBytes,
    long directBytes,
    long overheadBytes,
    long memoryBytes,
    long volumeBytes,
    RequestMemory requests) {}
