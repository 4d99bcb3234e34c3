/** What runtime pods say about their tiers, read from their metrics. */
@NullMarked
package dev.kvdrive.operator.usage;

import org.jspecify.annotations.NullMarked;
