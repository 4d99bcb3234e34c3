package dev.kvdrive.model.source;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A model on the hub: {@code hf://org/repo[@revision][/file.gguf]}.
 *
 * @param organisation user or organisation
 * @param repository name of the repository
 * @param revision branch, tag or commit; a slash in it is written {@code %2F}
 * @param file one file of the repository, or null for the model folder
 */
record HubReference(
    String organisation, String repository, String revision, @Nullable String file) {
  static final String SCHEME = "hf://";

  private static final String NAME = "[A-Za-z0-9_][A-Za-z0-9._-]{0,95}";
  private static final Pattern FORM =
      Pattern.compile(
          "hf://(?<org>%1$s)/(?<repo>%1$s)(?:@(?<rev>[A-Za-z0-9._%%-]{1,255}))?(?:/(?<file>.+))?"
              .formatted(NAME));
  private static final Pattern REVISION = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}");
  private static final Pattern FILE =
      Pattern.compile(
          "(?:[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}/){0,8}[A-Za-z0-9_][A-Za-z0-9._+-]{0,254}");
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");

  static HubReference parse(String uri) {
    Matcher m = FORM.matcher(uri);
    if (!m.matches()) {
      throw malformed(uri);
    }
    String revision = m.group("rev") == null ? "main" : decoded(uri, m.group("rev"));
    String file = m.group("file");
    if (!REVISION.matcher(revision).matches()
        || revision.contains("..")
        || (file != null && (!isSafeFile(file) || !file.endsWith(".gguf")))) {
      throw malformed(uri);
    }
    return new HubReference(m.group("org"), m.group("repo"), revision, file);
  }

  /** A relative path that stays in its folder and means the same on every file system. */
  static boolean isSafeFile(String file) {
    return FILE.matcher(file).matches() && !file.contains("..");
  }

  static boolean isCommit(String revision) {
    return COMMIT.matcher(revision).matches();
  }

  /** {@code org/repo}. */
  String id() {
    return organisation + "/" + repository;
  }

  @Override
  public String toString() {
    return SCHEME
        + id()
        + (revision.equals("main") ? "" : "@" + revision.replace("/", "%2F"))
        + (file == null ? "" : "/" + file);
  }

  private static String decoded(String uri, String revision) {
    try {
      return URLDecoder.decode(revision, StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw malformed(uri);
    }
  }

  private static ModelSourceException malformed(String uri) {
    return new ModelSourceException(
        uri,
        "this is no address of a model on the hub",
        "write hf://org/repo, hf://org/repo@revision or hf://org/repo/file.gguf");
  }
}
