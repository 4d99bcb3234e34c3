/** Specifications of options. */
@NullMarked
package dev.kvdrive.cli.option;

import org.jspecify.annotations.NullMarked;
