@NullMarked
package dev.kvdrive.operator.stored;

import org.jspecify.annotations.NullMarked;
