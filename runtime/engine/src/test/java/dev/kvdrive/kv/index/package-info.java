@NullMarked
package dev.kvdrive.kv.index;

import org.jspecify.annotations.NullMarked;
