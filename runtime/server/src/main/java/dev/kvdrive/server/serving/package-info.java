/** From configuration to a model that answers: start, checks, state, drain. */
@NullMarked
package dev.kvdrive.server.serving;

import org.jspecify.annotations.NullMarked;
