/** {@code ./kvdrive simulate}. */
@NullMarked
package dev.kvdrive.cli.simulate;

import org.jspecify.annotations.NullMarked;
