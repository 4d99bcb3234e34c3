/** Specifications of the demo. */
@NullMarked
package dev.kvdrive.cli.demo;

import org.jspecify.annotations.NullMarked;
