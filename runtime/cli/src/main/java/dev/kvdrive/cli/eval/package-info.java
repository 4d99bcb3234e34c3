/** Accuracy of a model on this machine, exact and sparse. */
@NullMarked
package dev.kvdrive.cli.eval;

import org.jspecify.annotations.NullMarked;
