@NullMarked
package dev.kvdrive.server.http;

import org.jspecify.annotations.NullMarked;
