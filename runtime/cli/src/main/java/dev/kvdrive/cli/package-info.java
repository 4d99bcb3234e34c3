/** The command line: plan, serve, demo, eval and bench. */
@NullMarked
package dev.kvdrive.cli;

import org.jspecify.annotations.NullMarked;
