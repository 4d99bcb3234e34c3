/**
 * The transformer's layers on a device: weights, activation buffers and the stages that prefill and
 * decode share (everything but attention).
 */
@NullMarked
package dev.kvdrive.transformer;

import org.jspecify.annotations.NullMarked;
