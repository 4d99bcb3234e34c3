/**
 * The device SPI: memory, queues, events, graphs and the operations of one model step. Implemented
 * by the CPU and the CUDA backend; everything above is written once over it.
 */
@NullMarked
package dev.kvdrive.device;

import org.jspecify.annotations.NullMarked;
