@NullMarked
package dev.kvdrive.cli.cluster;

import org.jspecify.annotations.NullMarked;
