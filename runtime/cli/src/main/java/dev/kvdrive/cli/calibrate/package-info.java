/** {@code ./kvdrive calibrate}. */
@NullMarked
package dev.kvdrive.cli.calibrate;

import org.jspecify.annotations.NullMarked;
