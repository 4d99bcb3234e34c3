/** Who may call the API, with which key, and how much. */
@NullMarked
package dev.kvdrive.server.access;

import org.jspecify.annotations.NullMarked;
