/** How much of attention sparse steps leave out, measured now and then. */
@NullMarked
package dev.kvdrive.kv.meter;

import org.jspecify.annotations.NullMarked;
