/** Pure functions, tested as such. */
@NullMarked
package dev.kvdrive.feasibility;

import org.jspecify.annotations.NullMarked;
