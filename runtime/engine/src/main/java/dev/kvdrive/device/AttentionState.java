package dev.kvdrive.device;

/**
 * Running softmax state of a decode step (maximum, sum, weighted values per row and query head),
 * partial results and token scores, in a layout of the backend's choice within {@code
 * dev.kvdrive.plan.Workspace.attentionBytes}.
 *
 * @param maxRows rows it is dimensioned for
 * @param passChunks chunks of one pass it is dimensioned for
 * @param buffer the memory
 */
public record AttentionState(int maxRows, int passChunks, DeviceBuffer buffer) {}
