/** Tests of the wiring, the roles and the examples; and what tests share. */
@NullMarked
package dev.kvdrive.operator;

import org.jspecify.annotations.NullMarked;
