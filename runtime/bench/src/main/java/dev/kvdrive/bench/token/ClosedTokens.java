package dev.kvdrive.bench.token;

/**
 * The closed tokens of a prompt, of one (layer, KV head): what an index is made of.
 *
 * @param keys as they are stored
 * @param values as they are stored
 * @param queries {@code [count][headDim]} of the group's heads, of the prompt's last tokens, as
 *     attention takes them; as many tokens as the method asks for
 * @param scale of products of queries and keys
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record ClosedTokens(Rows keys, Rows values, float[][] queries, float scale) {}
