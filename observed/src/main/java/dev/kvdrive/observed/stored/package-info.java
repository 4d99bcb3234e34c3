/**
 * What lies in the cluster, read so that one object that nobody can make sense of stops nothing but
 * itself.
 */
@NullMarked
package dev.kvdrive.observed.stored;

import org.jspecify.annotations.NullMarked;
