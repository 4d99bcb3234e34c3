/** Specifications of engines in this process. */
@NullMarked
package dev.kvdrive.bench.engine;

import org.jspecify.annotations.NullMarked;
