/**
 * The loop: assess, reconcile the dependents, observe, aggregate one status. What is decided lies
 * in {@code feasibility}, {@code desired} and {@code status}; here is only what talks to the API
 * server.
 */
@NullMarked
package dev.kvdrive.operator.reconcile;

import org.jspecify.annotations.NullMarked;
