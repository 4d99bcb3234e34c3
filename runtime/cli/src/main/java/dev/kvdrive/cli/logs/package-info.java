/** What the pods of a deployment write. */
@NullMarked
package dev.kvdrive.cli.logs;

import org.jspecify.annotations.NullMarked;
