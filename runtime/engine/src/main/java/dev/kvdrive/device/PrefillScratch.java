package dev.kvdrive.device;

/**
 * Keys and values of one layer of a prompt that is being prefilled: {@code
 * [kvHeads]{K[maxTokens][headDim], V[maxTokens][headDim]}} in the layout's type.
 *
 * @param maxTokens tokens it is dimensioned for
 * @param buffer the memory
 */
public record PrefillScratch(int maxTokens, DeviceBuffer buffer) {}
