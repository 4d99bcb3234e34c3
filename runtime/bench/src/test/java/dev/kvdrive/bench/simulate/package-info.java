/** Specifications of accuracy runs. */
@NullMarked
package dev.kvdrive.bench.simulate;

import org.jspecify.annotations.NullMarked;
