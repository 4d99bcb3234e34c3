/** What became of deployments in a cluster, for people. */
@NullMarked
package dev.kvdrive.cli.status;

import org.jspecify.annotations.NullMarked;
