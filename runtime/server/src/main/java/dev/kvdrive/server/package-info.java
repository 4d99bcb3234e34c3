/** The runtime's process: one model served over HTTP. */
@NullMarked
package dev.kvdrive.server;

import org.jspecify.annotations.NullMarked;
