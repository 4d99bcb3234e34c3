/** What NVIDIA's management library tells of the GPUs: facts of the cards, whoever uses them. */
@NullMarked
package dev.kvdrive.server.gpu;

import org.jspecify.annotations.NullMarked;
