/** Reading the metrics of pods. */
@NullMarked
package dev.kvdrive.operator.usage;

import org.jspecify.annotations.NullMarked;
