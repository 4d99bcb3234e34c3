/** Reader for safetensors files and folders with an index. */
@NullMarked
package dev.kvdrive.model.safetensors;

import org.jspecify.annotations.NullMarked;
