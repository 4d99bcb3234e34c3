/** Calibrations of an index as files beside the weights they belong to. */
@NullMarked
package dev.kvdrive.calibration;

import org.jspecify.annotations.NullMarked;
