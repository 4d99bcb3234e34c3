@NullMarked
package dev.kvdrive.kv.window;

import org.jspecify.annotations.NullMarked;
