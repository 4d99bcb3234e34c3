@NullMarked
package dev.kvdrive.calibration;

import org.jspecify.annotations.NullMarked;
