/** Specifications of bench. */
@NullMarked
package dev.kvdrive.cli.bench;

import org.jspecify.annotations.NullMarked;
