/**
 * The byte arithmetic of a deployment: model geometry, context, concurrency and budgets in, a plan
 * out. Pure: no framework, no I/O, no clock. Command line, operator and runtime all call it, so
 * they agree.
 */
@NullMarked
package dev.kvdrive.plan;

import org.jspecify.annotations.NullMarked;
