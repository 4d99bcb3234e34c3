/**
 * From what a user wrote to a verdict: the specification completed by its class and the operator's
 * defaults, checked against what the class allows, and planned. Pure functions; no client.
 */
@NullMarked
package dev.kvdrive.feasibility;

import org.jspecify.annotations.NullMarked;
