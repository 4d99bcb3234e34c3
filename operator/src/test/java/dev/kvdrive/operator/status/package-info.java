/** Pure functions, tested as such. */
@NullMarked
package dev.kvdrive.operator.status;

import org.jspecify.annotations.NullMarked;
