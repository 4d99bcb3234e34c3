/** Specifications of a runtime in this process. */
@NullMarked
package dev.kvdrive.cli.serve;

import org.jspecify.annotations.NullMarked;
