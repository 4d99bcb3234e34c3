/** Speed of prefill and decode, and what the machine would allow. */
@NullMarked
package dev.kvdrive.bench.speed;

import org.jspecify.annotations.NullMarked;
