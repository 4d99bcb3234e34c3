/** Admission, continuous batching and the life of a request. */
@NullMarked
package dev.kvdrive.schedule;

import org.jspecify.annotations.NullMarked;
