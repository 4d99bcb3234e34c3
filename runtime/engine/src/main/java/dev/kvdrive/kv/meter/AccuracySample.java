package dev.kvdrive.kv.meter;

/**
 * What the attention of one (row, layer, KV head) of a step left out.
 *
 * @param row of the step
 * @param layer of the model
 * @param kvHead of the layer
 * @param massMissed share of the softmax mass on tokens that were not attended, in [0, 1], mean
 *     over the queries of the group; what an estimate stands for counts as missed
 * @param outputError norm of the difference between the step's output and that of attention to
 *     everything, as a share of the norm of the latter, mean over the group
 */
public record AccuracySample(
    int row, int layer, int kvHead, double massMissed, double outputError) {}
