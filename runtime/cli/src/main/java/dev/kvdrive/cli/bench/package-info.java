/** Speed of prefill and decode on this machine. */
@NullMarked
package dev.kvdrive.cli.bench;

import org.jspecify.annotations.NullMarked;
