/** {@code ./kvdrive plan}: from flags or manifests to a plan for people and programs. */
@NullMarked
package dev.kvdrive.cli.plan;

import org.jspecify.annotations.NullMarked;
