package dev.kvdrive.server.transport;

import java.time.Duration;

/**
 * What connections may take.
 *
 * @param connections open ones at most
 * @param headTimeout for the head of a request, and for what is left of a body that nobody reads
 * @param idleTimeout between two requests
 */
public record ConnectionLimits(int connections, Duration headTimeout, Duration idleTimeout) {}
