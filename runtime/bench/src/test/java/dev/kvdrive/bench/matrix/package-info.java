/** Arithmetic, order and report of a matrix. */
@NullMarked
package dev.kvdrive.bench.matrix;

import org.jspecify.annotations.NullMarked;
