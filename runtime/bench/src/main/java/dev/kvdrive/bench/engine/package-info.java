/** A model and its engine in this process, for measurements. */
@NullMarked
package dev.kvdrive.bench.engine;

import org.jspecify.annotations.NullMarked;
