/** Specifications of made documents. */
@NullMarked
package dev.kvdrive.bench.document;

import org.jspecify.annotations.NullMarked;
