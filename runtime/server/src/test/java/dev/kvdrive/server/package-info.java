@NullMarked
package dev.kvdrive.server;

import org.jspecify.annotations.NullMarked;
