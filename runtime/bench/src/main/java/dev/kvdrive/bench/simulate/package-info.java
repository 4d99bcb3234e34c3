/** Recorded selections, and what windows of any rule and size would have made of them. */
@NullMarked
package dev.kvdrive.bench.simulate;

import org.jspecify.annotations.NullMarked;
