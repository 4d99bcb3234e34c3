/** What runtime pods say about their tiers, in their metrics. */
@NullMarked
package dev.kvdrive.observed.usage;

import org.jspecify.annotations.NullMarked;
