/** Specifications of accuracy runs. */
@NullMarked
package dev.kvdrive.bench.eval;

import org.jspecify.annotations.NullMarked;
