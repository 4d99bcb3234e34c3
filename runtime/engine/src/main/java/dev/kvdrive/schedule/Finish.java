package dev.kvdrive.schedule;

/**
 * How a generation ended.
 *
 * @param reason why
 * @param text text that was still held back; empty after a stop string
 * @param usage what it took
 */
public record Finish(FinishReason reason, String text, GenerationUsage usage) {}
