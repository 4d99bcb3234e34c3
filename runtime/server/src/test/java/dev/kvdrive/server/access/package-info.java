@NullMarked
package dev.kvdrive.server.access;

import org.jspecify.annotations.NullMarked;
