/**
 * Connections: TLS, how many, how long they may take, one request at a time, and errors of HTTP.
 */
@NullMarked
package dev.kvdrive.server.transport;

import org.jspecify.annotations.NullMarked;
