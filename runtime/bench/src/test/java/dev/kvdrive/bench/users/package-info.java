@NullMarked
package dev.kvdrive.bench.users;

import org.jspecify.annotations.NullMarked;
