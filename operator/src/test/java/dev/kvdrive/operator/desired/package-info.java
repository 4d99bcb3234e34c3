/** Pure functions, tested as such. */
@NullMarked
package dev.kvdrive.operator.desired;

import org.jspecify.annotations.NullMarked;
