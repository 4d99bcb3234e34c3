/**
 * The device SPI on CUDA GPUs: one primary context for each GPU, driver calls through {@link
 * dev.kvdrive.cuda.Driver}, matrix products through cuBLASLt, everything else in kernels of this
 * module ({@code src/main/cuda}).
 */
@NullMarked
package dev.kvdrive.cuda;

import org.jspecify.annotations.NullMarked;
