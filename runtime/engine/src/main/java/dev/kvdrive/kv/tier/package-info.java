/**
 * Where the bytes of cached keys and values live below the device: DRAM frames and extents on NVMe,
 * what moves between them and when, and the reader that answers the device's requests for chunks
 * that are only on NVMe.
 */
@NullMarked
package dev.kvdrive.kv.tier;

import org.jspecify.annotations.NullMarked;
