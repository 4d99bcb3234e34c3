/** Fits the index of a model to its keys and queries. */
@NullMarked
package dev.kvdrive.bench.calibrate;

import org.jspecify.annotations.NullMarked;
