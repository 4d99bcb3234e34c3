package dev.kvdrive.server.serving;

import java.util.Optional;

/** What health answers say besides, and what takes nothing out of service. */
public interface HealthNote {
  /** The text, if there is anything to say now; any thread. */
  Optional<String> text();
}
