/** Jlama as a probe of the speed bench. */
@NullMarked
package dev.kvdrive.bench.jlama;

import org.jspecify.annotations.NullMarked;
