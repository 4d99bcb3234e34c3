/** Routes, handlers and the life of one HTTP request. */
@NullMarked
package dev.kvdrive.server.http;

import org.jspecify.annotations.NullMarked;
