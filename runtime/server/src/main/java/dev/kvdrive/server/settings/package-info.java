/** What an operator configures, read and checked. */
@NullMarked
package dev.kvdrive.server.settings;

import org.jspecify.annotations.NullMarked;
