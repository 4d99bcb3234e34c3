package dev.kvdrive.model.gguf;

import dev.kvdrive.model.file.TensorEntry;
import java.util.Map;

/**
 * Everything in a GGUF file but the weights.
 *
 * @param version format version, 2 or 3
 * @param metadata key-value part
 * @param tensors table of contents by name, in file order; shapes outermost first, so the reverse
 *     of what the file says
 * @param dataStart first byte of the weights, from the start of the file
 */
public record GgufHeader(
    int version, GgufMetadata metadata, Map<String, TensorEntry> tensors, long dataStart) {}
