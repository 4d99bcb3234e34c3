package dev.kvdrive.kv.index;

import java.util.List;

/**
 * The transforms of all layers and KV heads of a model: a property of its weights, found once from
 * its keys and queries on varied text.
 *
 * @param weights fingerprint of the weights it was fitted to
 * @param layers a transform for each KV head of each layer
 */
public record IndexCalibration(String weights, List<List<KeyTransform>> layers) {
  public IndexCalibration {
    layers = layers.stream().map(List::copyOf).toList();
    int heads = layers.isEmpty() ? 0 : layers.getFirst().size();
    if (heads == 0) {
      throw new IllegalArgumentException("a calibration needs layers with KV heads");
    }
    int width = layers.getFirst().getFirst().width();
    for (List<KeyTransform> layer : layers) {
      if (layer.size() != heads || layer.stream().anyMatch(head -> head.width() != width)) {
        throw new IllegalArgumentException(
            "every layer of a calibration has %d KV heads of %d elements".formatted(heads, width));
      }
    }
  }

  /** KV heads of each layer. */
  public int kvHeads() {
    return layers.getFirst().size();
  }

  /** Elements of a key. */
  public int headDim() {
    return layers.getFirst().getFirst().width();
  }
}
