/**
 * What lies in a cluster, as operator and command line both read it: stored objects, what runs of
 * them, and what pods say of themselves. No client: whoever has one asks.
 */
@NullMarked
package dev.kvdrive.observed;

import org.jspecify.annotations.NullMarked;
