/** The wire types of the OpenAI API, how requests are read and how errors look. */
@NullMarked
package dev.kvdrive.server.openai;

import org.jspecify.annotations.NullMarked;
