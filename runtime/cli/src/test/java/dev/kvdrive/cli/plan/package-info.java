/** Plans as a user asks for them. */
@NullMarked
package dev.kvdrive.cli.plan;

import org.jspecify.annotations.NullMarked;
