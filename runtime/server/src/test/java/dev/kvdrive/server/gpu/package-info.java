@NullMarked
package dev.kvdrive.server.gpu;

import org.jspecify.annotations.NullMarked;
