/** What the index keeps of keys, and the calibration it is fitted by. */
@NullMarked
package dev.kvdrive.kv.index;

import org.jspecify.annotations.NullMarked;
