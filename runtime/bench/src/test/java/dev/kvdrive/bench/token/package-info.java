@NullMarked
package dev.kvdrive.bench.token;

import org.jspecify.annotations.NullMarked;
