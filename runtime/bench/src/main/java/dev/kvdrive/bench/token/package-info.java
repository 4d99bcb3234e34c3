/**
 * Methods that choose single tokens, of which this engine's tiers know nothing: they are computed
 * on the host in place of a device's attention, for their accuracy only.
 */
@NullMarked
package dev.kvdrive.bench.token;

import org.jspecify.annotations.NullMarked;
