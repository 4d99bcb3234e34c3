/** What users of a server see: streamed chats, and the times of many at once. */
@NullMarked
package dev.kvdrive.bench.users;

import org.jspecify.annotations.NullMarked;
