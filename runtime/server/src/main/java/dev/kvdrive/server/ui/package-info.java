/**
 * The page that shows what the engine does: its files, and what it is told several times a second.
 */
@NullMarked
package dev.kvdrive.server.ui;

import org.jspecify.annotations.NullMarked;
