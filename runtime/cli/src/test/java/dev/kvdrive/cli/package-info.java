/** Specifications of the command line. */
@NullMarked
package dev.kvdrive.cli;

import org.jspecify.annotations.NullMarked;
