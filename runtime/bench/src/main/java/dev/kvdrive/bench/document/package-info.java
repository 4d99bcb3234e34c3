/** Long documents with planted facts, made from a seed. */
@NullMarked
package dev.kvdrive.bench.document;

import org.jspecify.annotations.NullMarked;
