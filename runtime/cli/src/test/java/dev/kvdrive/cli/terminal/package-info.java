/** Specifications of what a person sees. */
@NullMarked
package dev.kvdrive.cli.terminal;

import org.jspecify.annotations.NullMarked;
