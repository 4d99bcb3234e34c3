/** Model files: formats, architectures and where they come from. */
@NullMarked
package dev.kvdrive.model;

import org.jspecify.annotations.NullMarked;
