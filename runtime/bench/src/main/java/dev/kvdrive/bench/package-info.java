/** Measurement: accuracy on task files, speed of prefill and decode. */
@NullMarked
package dev.kvdrive.bench;

import org.jspecify.annotations.NullMarked;
