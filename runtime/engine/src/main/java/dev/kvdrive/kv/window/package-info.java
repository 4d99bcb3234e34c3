/** What is resident in device memory: windows, index, sink and ring of every seat. */
@NullMarked
package dev.kvdrive.kv.window;

import org.jspecify.annotations.NullMarked;
