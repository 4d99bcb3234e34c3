@NullMarked
package dev.kvdrive.kubectl;

import org.jspecify.annotations.NullMarked;
