/** The loop against a real API server. */
@NullMarked
package dev.kvdrive.operator.reconcile;

import org.jspecify.annotations.NullMarked;
