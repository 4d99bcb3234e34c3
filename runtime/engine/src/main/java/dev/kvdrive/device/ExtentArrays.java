package dev.kvdrive.device;

/**
 * What the device knows of extents, of all layers in one allocation each: the arrays of {@link
 * KvLayer} are parts of them.
 *
 * @param frameOfExtent {@code int[layers][seats][kvHeads][maxExtents]}
 * @param lastUse {@code int[layers][seats][kvHeads][maxExtents]}
 * @param changes room for {@code int[][2]} changes on their way to {@code frameOfExtent}: {@link
 *     KvOperations.Place}
 */
public record ExtentArrays(
    DeviceBuffer frameOfExtent, DeviceBuffer lastUse, DeviceBuffer changes) {}
