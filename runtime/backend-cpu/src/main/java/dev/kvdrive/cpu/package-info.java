/** The CPU device: the SPI of {@code dev.kvdrive.device} with the Vector API. */
@NullMarked
package dev.kvdrive.cpu;

import org.jspecify.annotations.NullMarked;
