/** Asks runtime pods for what they say about their tiers. */
@NullMarked
package dev.kvdrive.operator.usage;

import org.jspecify.annotations.NullMarked;
