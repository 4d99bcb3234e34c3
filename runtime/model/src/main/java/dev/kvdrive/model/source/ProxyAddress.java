package dev.kvdrive.model.source;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Where a proxy is.
 *
 * @param host name or address
 * @param port its port
 * @param authorization value of Proxy-Authorization, a secret; null for none
 */
record ProxyAddress(String host, int port, @Nullable String authorization) {
  /** The port of http. curl would take 1080, which no proxy for http uses. */
  private static final int USUAL_PORT = 80;

  private static final Pattern FORM =
      Pattern.compile(
          "(?:(?<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?:(?<user>[^/]*)@)?"
              + "(?<host>\\[[0-9A-Fa-f:.]+\\]|[^:/@\\[\\]\\s?#]+)(?::(?<port>[0-9]{1,5}))?/?");

  /**
   * Reads {@code http://[user:password@]host[:port]}; user and password are percent-encoded.
   *
   * @param variable named in errors, which never show the value
   */
  static ProxyAddress parse(String variable, String text) {
    Matcher m = FORM.matcher(text);
    int port = -1;
    if (m.matches()) {
      port = m.group("port") == null ? USUAL_PORT : Integer.parseInt(m.group("port"));
    }
    if (port < 1 || port > 65535) {
      throw new ModelSourceException(
          variable, "it is no address of a proxy", "write for instance http://proxy.example:3128");
    }
    String scheme = m.group("scheme");
    if (scheme != null && !scheme.equalsIgnoreCase("http")) {
      throw new ModelSourceException(
          variable,
          "proxies that speak %s are not supported".formatted(scheme),
          "name one that speaks http, for instance http://proxy.example:3128");
    }
    String user = m.group("user");
    return new ProxyAddress(
        m.group("host"), port, user == null ? null : basic(decoded(variable, user)));
  }

  private static String decoded(String variable, String user) {
    try {
      // URLDecoder is for forms, where a plus stands for a space.
      return URLDecoder.decode(user.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw new ModelSourceException(
          variable,
          "its user and password are not percent-encoded",
          "write a percent sign in them as %25");
    }
  }

  private static String basic(String login) {
    String full = login.contains(":") ? login : login + ":";
    return "Basic " + Base64.getEncoder().encodeToString(full.getBytes(StandardCharsets.UTF_8));
  }

  /** Without the login. */
  @Override
  public String toString() {
    return host + ":" + port;
  }
}
