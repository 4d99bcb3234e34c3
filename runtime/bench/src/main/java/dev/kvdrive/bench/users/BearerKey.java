package dev.kvdrive.bench.users;

/** A key that a client sends; in no log, whatever it is part of. */
public record BearerKey(String secret) {
  /** The header that it is sent with. */
  String header() {
    return "Bearer " + secret;
  }

  @Override
  public String toString() {
    return "a key";
  }
}
