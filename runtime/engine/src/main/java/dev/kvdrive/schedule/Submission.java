package dev.kvdrive.schedule;

/**
 * A request and who is told of it.
 *
 * @param request what to generate
 * @param listener told of everything that follows, in the end exactly one of {@code onFinish} and
 *     {@code onError}
 */
public record Submission(GenerationRequest request, GenerationListener listener) {}
