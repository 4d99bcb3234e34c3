package dev.kvdrive.operator.status;

import java.util.Arrays;
import java.util.regex.Pattern;

/**
 * Why a node did not get the image of a model, by the words of container runtimes, and what helps.
 * Sums are in those words, too: a number alone says nothing.
 */
enum PullFailure {
  /** Before all others: what was refused halfway may be told with more words. */
  OTHER_BYTES(
      "unexpected commit digest|failed size validation|unexpected commit size"
          + "|digest (did not|does not) match|digest mismatch",
      "What registry %s gives is not what the digest says, and no node takes it: look after the"
          + " registry's storage, and push the image again."),
  NOT_TRUSTED(
      "x509:|tls: |HTTP response to HTTPS client",
      "The node's container runtime does not take registry %s for what it says it is: give the node"
          + " its certificate, or tell the container runtime that it speaks plain HTTP."),
  NOT_ALLOWED(
      "(?i)unauthorized|forbidden|access denied|authorization failed|authentication required"
          + "|no basic auth credentials",
      "Registry %s lets nobody read it who does not log in, or has no such image: name a pull"
          + " secret in runtime.imagePullSecrets of the class, and have it in the deployment's"
          + " namespace."),
  AWAY(
      "connection refused|no such host|i/o timeout|no route to host|network is unreachable"
          + "|connection reset|server misbehaving|deadline exceeded|(?i)registry is unavailable"
          + "|status(?: code)?(?: from [^ ]+ request to [^ ]+)?: 5\\d\\d",
      "The node does not reach registry %s. Once it answers, the pod goes on by itself within five"
          + " minutes; nodes that have the image do not ask for it."),
  NOT_THERE(
      "not found|manifest unknown|name unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN",
      "Registry %s has no such image: correct the tag or digest in model.uri, or push it"
          + " (images/push.sh --model)."),
  OTHER("", "Its registry, %s, must have it, and let the pods' pull secrets read it.");

  private final Pattern words;
  private final String wayOut;

  PullFailure(String words, String wayOut) {
    this.words = Pattern.compile(words);
    this.wayOut = wayOut;
  }

  /**
   * What helps against a failure to pull an image.
   *
   * @param message of the kubelet, with the words of the container runtime
   * @param image whose name begins with its registry, as a model's does
   */
  static String wayOut(String message, String image) {
    return Arrays.stream(values())
        .filter(failure -> failure.words.matcher(message).find())
        .findFirst()
        .orElse(OTHER)
        .wayOut
        .formatted(image.substring(0, image.indexOf('/')));
  }
}
