@NullMarked
package dev.kvdrive.server.metrics;

import org.jspecify.annotations.NullMarked;
