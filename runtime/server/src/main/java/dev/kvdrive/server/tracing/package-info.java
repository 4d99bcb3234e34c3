/** Traces of requests: when there are any, what is in their spans, where they go. */
@NullMarked
package dev.kvdrive.server.tracing;

import org.jspecify.annotations.NullMarked;
