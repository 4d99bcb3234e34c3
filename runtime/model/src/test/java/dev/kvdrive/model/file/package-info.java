@NullMarked
package dev.kvdrive.model.file;

import org.jspecify.annotations.NullMarked;
