package dev.kvdrive.cli.serve;

import java.net.URI;

/** Calls of the API to copy into a shell. */
public final class CurlCall {
  private CurlCall() {}

  /**
   * A chat completion.
   *
   * @param model name in the API
   * @param options of curl before the address, each with a space behind it
   * @param key whether the call needs a key, which is then taken from {@code $KVDRIVE_API_KEY}
   * @param content what to ask; without quotes and backslashes
   */
  public static String chat(
      URI address, String options, String model, boolean key, String content) {
    return """
    curl %s%s/v1/chat/completions -H 'Content-Type: application/json' \\%s
      -d '{"model": "%s", "messages": [{"role": "user", "content": "%s"}]}'"""
        .formatted(
            options,
            address,
            key ? "\n  -H \"Authorization: Bearer $KVDRIVE_API_KEY\" \\" : "",
            model,
            content);
  }
}
