/** From an engine's callbacks to a stream that a slow reader cannot hurt. */
@NullMarked
package dev.kvdrive.server.generation;

import org.jspecify.annotations.NullMarked;
