package dev.kvdrive.model.source;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.net.URLEncoder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/**
 * The commits of one repository on this machine:
 *
 * <pre>
 *   refs/REVISION            commit that a branch or tag last meant; a commit means itself
 *   COMMIT/.listing.json     what the commit holds
 *   COMMIT/.in-use           locked, shared, by every process that may have its files mapped
 *   COMMIT/FILE              whole and verified
 *   parts/HASH.part          a file on its way, and beside it the list of its finished pieces
 * </pre>
 *
 * A file that several commits hold with the same hash is there once, as hard links: a new commit
 * that leaves the weights alone brings no weights. A commit goes when no reference means it any
 * more and no process has it in use. Used under the lock of the repository.
 */
final class Snapshots {
  private static final Logger LOG = System.getLogger(Snapshots.class.getName());
  private static final JsonMapper JSON = JsonMapper.shared();
  private static final String LISTING = ".listing.json";
  private static final String IN_USE = ".in-use";

  /** How long a commit that was asked for by its own name stays when nobody asks again. */
  private static final Duration PINNED_FOR = Duration.ofDays(30);

  /** Commits this process may have files of, until it ends. */
  private static final Map<Path, FileLock> HELD = new ConcurrentHashMap<>();

  private final Path repository;

  Snapshots(Path repository) {
    this.repository = repository;
  }

  Path folder(String commit) {
    return repository.resolve(commit);
  }

  /** Where files on their way are, by hash, so that another commit goes on with them. */
  Path parts() {
    return repository.resolve("parts");
  }

  /** The commit a revision last meant, if it is known. */
  @Nullable String meaning(String revision) throws IOException {
    if (HubReference.isCommit(revision)) {
      return revision;
    }
    Path ref = ref(revision);
    return Files.exists(ref) ? Files.readString(ref).strip() : null;
  }

  /** What a commit holds, if it is known; what cannot be read is not. */
  @Nullable HubListing listing(String commit) throws IOException {
    if (!HubReference.isCommit(commit)) {
      return null;
    }
    try {
      return JSON.readValue(Files.readAllBytes(folder(commit).resolve(LISTING)), HubListing.class);
    } catch (NoSuchFileException | JacksonException e) {
      return null; // never written, by something else, or cut short
    }
  }

  /** Notes what a revision means now and what that holds. */
  void remember(String revision, HubListing listing) throws IOException {
    Files.createDirectories(folder(listing.commit()));
    Files.createDirectories(repository.resolve("refs"));
    replace(folder(listing.commit()).resolve(LISTING), JSON.writeValueAsBytes(listing));
    replace(ref(revision), listing.commit().getBytes(StandardCharsets.US_ASCII));
  }

  private Path ref(String revision) {
    return repository.resolve("refs").resolve(URLEncoder.encode(revision, StandardCharsets.UTF_8));
  }

  /** Whether a file of a commit is there, whole. */
  boolean has(String commit, HubFile file) throws IOException {
    return isWhole(folder(commit).resolve(file.name()), file);
  }

  private static boolean isWhole(Path path, HubFile file) throws IOException {
    return Files.isRegularFile(path) && Files.size(path) == file.bytes();
  }

  /**
   * Gives a commit the file from another one, or from the same under another name, if one has it.
   *
   * @return whether it is there now
   */
  boolean share(String commit, HubFile file) throws IOException {
    for (String other : commits()) {
      HubListing listing = listing(other);
      if (listing == null) {
        continue;
      }
      for (HubFile twin : listing.files()) {
        Path source = folder(other).resolve(twin.name());
        if (twin.hash().equals(file.hash())
            && twin.bytes() == file.bytes()
            && isWhole(source, twin)) {
          link(source, folder(commit).resolve(file.name()));
          return true;
        }
      }
    }
    return false;
  }

  private static void link(Path source, Path target) throws IOException {
    Files.createDirectories(Objects.requireNonNull(target.getParent()));
    Path next = Path.of(target + ".new");
    Files.deleteIfExists(next);
    try {
      Files.createLink(next, source);
    } catch (IOException | UnsupportedOperationException e) {
      LOG.log(Level.DEBUG, "no hard links here, copying " + source, e);
      Files.copy(source, next);
    }
    Files.move(next, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /** Keeps a commit's files from being removed by any process for as long as this one lives. */
  void hold(String commit) throws IOException {
    Path folder = folder(commit).toRealPath();
    if (HELD.containsKey(folder)) {
      return;
    }
    FileChannel channel =
        FileChannel.open(
            folder.resolve(IN_USE),
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE);
    try {
      HELD.put(folder, channel.lock(0, Long.MAX_VALUE, true));
    } catch (IOException e) {
      // Where files cannot be locked the one who removes cannot lock either, and leaves them.
      LOG.log(Level.DEBUG, "cannot lock " + folder, e);
      channel.close();
    }
  }

  /** Removes what no reference means and no process uses, except {@code current}. */
  void prune(String current, Instant now) throws IOException {
    Set<String> wanted = wanted(now);
    wanted.add(current);
    Set<String> hashes = new HashSet<>();
    for (String commit : commits()) {
      if (wanted.contains(commit) || !remove(folder(commit))) {
        HubListing listing = listing(commit);
        if (listing != null) {
          listing.files().forEach(file -> hashes.add(file.hash()));
        }
      }
    }
    for (Path part : children(parts())) {
      String name = String.valueOf(part.getFileName());
      if (!hashes.contains(name.substring(0, Math.max(0, name.indexOf('.'))))) {
        Files.deleteIfExists(part);
      }
    }
  }

  private Set<String> wanted(Instant now) throws IOException {
    Set<String> wanted = new HashSet<>();
    for (Path ref : children(repository.resolve("refs"))) {
      boolean pin = HubReference.isCommit(String.valueOf(ref.getFileName()));
      if (pin && Files.getLastModifiedTime(ref).toInstant().isBefore(now.minus(PINNED_FOR))) {
        Files.deleteIfExists(ref);
      } else {
        wanted.add(Files.readString(ref).strip());
      }
    }
    return wanted;
  }

  /** Notes that a commit was asked for by its own name. */
  void pin(String commit, Instant now) throws IOException {
    Path ref = ref(commit);
    Files.createDirectories(repository.resolve("refs"));
    if (!Files.exists(ref)) {
      replace(ref, commit.getBytes(StandardCharsets.US_ASCII));
    }
    Files.setLastModifiedTime(ref, FileTime.from(now));
  }

  private boolean remove(Path folder) throws IOException {
    if (HELD.containsKey(folder.toRealPath())) {
      return false;
    }
    try (FileChannel channel =
            FileChannel.open(
                folder.resolve(IN_USE), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock alone = channel.tryLock()) {
      if (alone == null) {
        return false;
      }
      // First what makes it a snapshot: whatever interrupts this leaves none that is half there.
      Files.deleteIfExists(folder.resolve(LISTING));
      List<Path> all;
      try (Stream<Path> walk = Files.walk(folder)) {
        all = walk.sorted(Comparator.reverseOrder()).toList();
      }
      for (Path path : all) {
        Files.deleteIfExists(path);
      }
      LOG.log(Level.INFO, "removed {0}, which nothing refers to any more", folder);
      return true;
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0} cannot be removed ({1})", folder, e.getMessage());
      return false;
    }
  }

  private List<String> commits() throws IOException {
    return children(repository).stream()
        .map(path -> String.valueOf(path.getFileName()))
        .filter(HubReference::isCommit)
        .toList();
  }

  private static List<Path> children(Path folder) throws IOException {
    List<Path> all = new ArrayList<>();
    if (Files.isDirectory(folder)) {
      try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder)) {
        stream.forEach(all::add);
      }
    }
    return all;
  }

  private static void replace(Path file, byte[] content) throws IOException {
    Path next = Path.of(file + ".new");
    Files.write(next, content);
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }
}
