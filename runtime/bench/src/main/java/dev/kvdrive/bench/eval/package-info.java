/** Accuracy of exact and sparse decoding on tasks with known answers. */
@NullMarked
package dev.kvdrive.bench.eval;

import org.jspecify.annotations.NullMarked;
