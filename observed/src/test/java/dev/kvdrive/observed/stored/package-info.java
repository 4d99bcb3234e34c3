@NullMarked
package dev.kvdrive.observed.stored;

import org.jspecify.annotations.NullMarked;
