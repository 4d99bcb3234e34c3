/** Specifications of eval. */
@NullMarked
package dev.kvdrive.cli.eval;

import org.jspecify.annotations.NullMarked;
