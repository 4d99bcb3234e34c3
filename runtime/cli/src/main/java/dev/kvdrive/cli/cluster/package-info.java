/**
 * A cluster as whoever uses it sees it: its deployments, what became of them, what their pods say.
 * Nothing here writes. What speaks to an API server is loaded only once it is asked.
 */
@NullMarked
package dev.kvdrive.cli.cluster;

import org.jspecify.annotations.NullMarked;
