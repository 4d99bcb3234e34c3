/** The decode step: one token of every running sequence through all layers. */
@NullMarked
package dev.kvdrive.decode;

import org.jspecify.annotations.NullMarked;
