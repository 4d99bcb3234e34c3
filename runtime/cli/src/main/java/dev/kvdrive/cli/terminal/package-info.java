/** Text for a person: progress, colours where they are welcome, human units. */
@NullMarked
package dev.kvdrive.cli.terminal;

import org.jspecify.annotations.NullMarked;
