/**
 * The operator: {@code stored} reads what lies in the cluster, {@code feasibility} judges a
 * specification, {@code desired} says what should run, {@code status} says what does, {@code
 * reconcile} makes them meet. This package wires them.
 */
@NullMarked
package dev.kvdrive.operator;

import org.jspecify.annotations.NullMarked;
