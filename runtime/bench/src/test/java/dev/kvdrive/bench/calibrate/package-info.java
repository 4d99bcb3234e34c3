@NullMarked
package dev.kvdrive.bench.calibrate;

import org.jspecify.annotations.NullMarked;
