package dev.kvdrive.device;

/**
 * The DRAM tier as the device sees it: {@code frames} frames of {@code layout.extentBytes()} bytes,
 * one behind the other. The host decides what is in a frame ({@link KvLayer#frameOfExtent}); closed
 * chunks are written and misses are read by device operations.
 *
 * @param memory {@code frames * layout.extentBytes()} bytes
 * @param frames number of frames
 */
public record FramePool(HostBuffer memory, int frames) {}
