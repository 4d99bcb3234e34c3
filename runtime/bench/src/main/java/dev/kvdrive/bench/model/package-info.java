/** Model files for measurements: random weights of a known shape, and other formats. */
@NullMarked
package dev.kvdrive.bench.model;

import org.jspecify.annotations.NullMarked;
