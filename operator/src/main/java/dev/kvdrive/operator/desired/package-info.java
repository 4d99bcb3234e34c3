/**
 * From a feasible request and its plan to the objects that run it. Pure functions of their
 * arguments, so that the same specification always asks for the same objects.
 */
@NullMarked
package dev.kvdrive.operator.desired;

import org.jspecify.annotations.NullMarked;
