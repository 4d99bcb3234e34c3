/** The loop against real API servers and against a mock. */
@NullMarked
package dev.kvdrive.operator.reconcile;

import org.jspecify.annotations.NullMarked;
