/** Reader for GGUF v2 and v3 files. */
@NullMarked
package dev.kvdrive.model.gguf;

import org.jspecify.annotations.NullMarked;
