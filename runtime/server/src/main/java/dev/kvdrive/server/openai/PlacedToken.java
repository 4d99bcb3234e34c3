package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.GeneratedToken;

/**
 * A generated token and where its text begins.
 *
 * @param offset Unicode code points of the generated text in front of the character that the
 *     token's first byte belongs to; for a token that writes nothing, in front of what follows
 */
public record PlacedToken(GeneratedToken token, int offset) {}
