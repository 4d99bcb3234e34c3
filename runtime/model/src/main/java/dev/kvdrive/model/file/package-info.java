/** Mapped model files and the one error that a bad one gets. */
@NullMarked
package dev.kvdrive.model.file;

import org.jspecify.annotations.NullMarked;
