@NullMarked
package dev.kvdrive.observed;

import org.jspecify.annotations.NullMarked;
