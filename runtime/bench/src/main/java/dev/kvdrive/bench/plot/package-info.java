/** Drawings of measurements. */
@NullMarked
package dev.kvdrive.bench.plot;

import org.jspecify.annotations.NullMarked;
