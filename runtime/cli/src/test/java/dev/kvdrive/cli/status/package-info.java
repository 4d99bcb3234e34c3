@NullMarked
package dev.kvdrive.cli.status;

import org.jspecify.annotations.NullMarked;
