/** Prefill: a prompt through all layers, layer by layer in query blocks. */
@NullMarked
package dev.kvdrive.prefill;

import org.jspecify.annotations.NullMarked;
