/** Specifications of made and converted models. */
@NullMarked
package dev.kvdrive.bench.model;

import org.jspecify.annotations.NullMarked;
