/**
 * Extents: how they are numbered, in which tier each of them is, whose they are and what proves it.
 */
@NullMarked
package dev.kvdrive.kv.extent;

import org.jspecify.annotations.NullMarked;
