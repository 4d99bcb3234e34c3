@NullMarked
package dev.kvdrive.cpu;

import org.jspecify.annotations.NullMarked;
