package dev.kvdrive.model.source;

import java.math.BigInteger;
import java.net.InetAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What is reached without a proxy, as curl reads NO_PROXY: names, separated by commas or spaces. A
 * domain stands for itself and everything below it, with or without a dot in front; an address for
 * itself; {@code 10.0.0.0/8} for a network; {@code *} for everything. Each may end in a port, and
 * then stands for this port only. Names are not resolved: a network matches addresses that are
 * written as such.
 */
final class NoProxy {
  /** An address in digits; a name never matches, so that nothing here asks a name server. */
  private static final Pattern ADDRESS = Pattern.compile("[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*");

  private static final Pattern WITH_PORT =
      Pattern.compile("(?<host>\\[[^\\]]*\\](?:/[0-9]+)?|[^:]*)(?::(?<port>[0-9]{1,5}))?");

  private final List<Entry> entries;

  /**
   * @param host a domain without a dot in front, an address, or *
   * @param bits of the network's prefix; negative for a single address or a domain
   * @param port the only port; negative for all
   */
  private record Entry(String host, int bits, int port) {}

  NoProxy(String text) {
    entries =
        Arrays.stream(text.split("[,\\s]+"))
            .filter(word -> !word.isEmpty())
            .map(NoProxy::entry)
            .toList();
  }

  /**
   * Whether {@code at} is reached without a proxy.
   *
   * @param port the address's port, also where it is not written
   */
  boolean matches(URI at, int port) {
    String host = bare(at.getHost());
    return entries.stream()
        .filter(entry -> entry.port() < 0 || entry.port() == port)
        .anyMatch(entry -> matches(entry, host));
  }

  private static boolean matches(Entry entry, String host) {
    if (entry.host().equals("*")) {
      return true;
    }
    byte[] address = address(host);
    byte[] listed = address(entry.host());
    if (address != null && listed != null) {
      return samePrefix(
          address, listed, entry.bits() < 0 ? Byte.SIZE * listed.length : entry.bits());
    }
    return address == null
        && listed == null
        && (host.equals(entry.host()) || host.endsWith("." + entry.host()));
  }

  private static boolean samePrefix(byte[] a, byte[] b, int bits) {
    int rest = Byte.SIZE * a.length - bits;
    return a.length == b.length
        && rest >= 0
        && new BigInteger(1, a).shiftRight(rest).equals(new BigInteger(1, b).shiftRight(rest));
  }

  private static Entry entry(String word) {
    // An IPv6 address without brackets has no port: its last group would be taken for one.
    boolean bareIpv6 = word.indexOf(':') != word.lastIndexOf(':') && !word.startsWith("[");
    Matcher matcher = WITH_PORT.matcher(word);
    String host = bareIpv6 || !matcher.matches() ? word : matcher.group("host");
    String port = bareIpv6 || !matcher.matches() ? null : matcher.group("port");
    int slash = host.indexOf('/');
    int bits = slash < 0 ? -1 : bits(host.substring(slash + 1));
    return new Entry(
        bare(slash < 0 ? host : host.substring(0, slash)),
        bits,
        port == null ? -1 : Integer.parseInt(port));
  }

  /** A prefix that is no number matches nothing: more bits than any address has. */
  private static int bits(String text) {
    return text.matches("[0-9]{1,3}") ? Integer.parseInt(text) : Integer.MAX_VALUE;
  }

  private static String bare(String host) {
    String lower = host.toLowerCase(Locale.ROOT);
    if (lower.startsWith("[") && lower.endsWith("]")) {
      return lower.substring(1, lower.length() - 1);
    }
    return lower.replaceFirst("^\\.", "").replaceFirst("\\.$", "");
  }

  private static byte @Nullable [] address(String host) {
    if (!ADDRESS.matcher(host).matches()) {
      return null;
    }
    try {
      return InetAddress.getByName(host).getAddress();
    } catch (UnknownHostException e) {
      return null;
    }
  }
}
