/** A runtime in the process of the command line: start, address, end. */
@NullMarked
package dev.kvdrive.cli.serve;

import org.jspecify.annotations.NullMarked;
