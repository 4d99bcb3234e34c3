/** One measurement of speed with each part switched and each method, in turn. */
@NullMarked
package dev.kvdrive.bench.matrix;

import org.jspecify.annotations.NullMarked;
