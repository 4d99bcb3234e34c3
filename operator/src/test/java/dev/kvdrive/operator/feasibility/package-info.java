/** Pure functions, tested as such. */
@NullMarked
package dev.kvdrive.operator.feasibility;

import org.jspecify.annotations.NullMarked;
