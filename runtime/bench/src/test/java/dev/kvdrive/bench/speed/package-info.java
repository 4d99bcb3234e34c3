/** Specifications of speed measurements. */
@NullMarked
package dev.kvdrive.bench.speed;

import org.jspecify.annotations.NullMarked;
