package dev.kvdrive.model.source;

import dev.kvdrive.model.IndexSidecar;
import dev.kvdrive.model.ModelLoader;
import dev.kvdrive.model.file.MappedFile;
import dev.kvdrive.model.file.ModelFormatException;
import dev.kvdrive.model.gguf.GgufHeader;
import dev.kvdrive.model.gguf.GgufPart;
import dev.kvdrive.model.gguf.GgufReader;
import dev.kvdrive.model.safetensors.SafetensorsReader;
import dev.kvdrive.plan.ModelGeometry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Models of the hub on this machine, in a folder {@code hub/ORG--REPO} for each repository with its
 * {@link Snapshots}.
 *
 * <p>One process at a time downloads into a repository's folder; others wait for its lock.
 */
final class HubCache {
  private static final Logger LOG = System.getLogger(HubCache.class.getName());
  private static final ConcurrentHashMap<Path, ReentrantLock> LOCKS = new ConcurrentHashMap<>();
  private static final String INDEX = "model.safetensors.index.json";
  private static final int MAX_INDEX_BYTES = 64 << 20;
  private static final int MAX_CONFIG_BYTES = 4 << 20;
  private static final long FIRST_HEADER_BYTES = 1 << 20;

  /** What a model folder needs besides its weights; all but the configuration are optional. */
  private static final Set<String> COMPANIONS =
      Set.of(
          "config.json",
          "generation_config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "tokenizer.model",
          "special_tokens_map.json",
          "added_tokens.json",
          "vocab.json",
          "merges.txt",
          "chat_template.jinja",
          "chat_template.json",
          IndexSidecar.NAME);

  private final Path root;
  private final HubSettings settings;
  private final DownloadProgress progress;

  HubCache(Path root, HubSettings settings, DownloadProgress progress) {
    this.root = root.resolve("hub");
    this.settings = settings;
    this.progress = progress;
  }

  /** The folder or file on this machine, downloaded first where it is not yet here. */
  Path resolve(HubReference ref) {
    Path repository = root.resolve(ref.organisation() + "--" + ref.repository());
    try {
      Files.createDirectories(repository);
      ReentrantLock lock = LOCKS.computeIfAbsent(repository.toRealPath(), p -> new ReentrantLock());
      lock.lock();
      try (FileChannel channel =
              FileChannel.open(
                  repository.resolve(".lock"),
                  StandardOpenOption.CREATE,
                  StandardOpenOption.WRITE);
          FileLock processes = channel.lock()) {
        Objects.requireNonNull(processes);
        return resolve(ref, repository);
      } finally {
        lock.unlock();
      }
    } catch (IOException | UncheckedIOException e) {
      throw new ModelSourceException(
          ref.toString(),
          "the cache %s cannot be written (%s)".formatted(root, e.getMessage()),
          "make it writable, or name another folder",
          false,
          e);
    }
  }

  /** Sizes of a model, of which no more than headers are read. */
  ModelGeometry geometry(HubReference ref) {
    if (settings.offline()) {
      return ModelLoader.geometry(resolve(ref));
    }
    HubClient client = new HubClient(settings);
    HubListing listing = client.listing(ref);
    String file = ref.file() != null ? ref.file() : onlyGguf(ref, listing).orElse(null);
    if (file != null) {
      ModelGeometry sizes =
          ModelLoader.geometry(
              GgufHeader.joined(
                  parts(ref, listing, file).stream()
                      .map(part -> ggufHeader(client, ref, listing, part))
                      .toList()));
      return sizes.calibrated(listing.file(IndexSidecar.besideGguf(file)).isPresent());
    }
    HubFile config = required(ref, listing, "config.json");
    return ModelLoader.geometry(
            Path.of(config.name()),
            ref.repository(),
            small(client, ref, listing.commit(), config, MAX_CONFIG_BYTES))
        .calibrated(listing.file(IndexSidecar.NAME).isPresent());
  }

  /** The files of the model that a GGUF file is, or by its name is a part of. */
  private static List<HubFile> parts(HubReference ref, HubListing listing, String file) {
    required(ref, listing, file);
    return GgufPart.all(file).stream().map(part -> required(ref, listing, part)).toList();
  }

  private GgufHeader ggufHeader(
      HubClient client, HubReference ref, HubListing listing, HubFile file) {
    for (long n = Math.min(FIRST_HEADER_BYTES, file.bytes()); ; n = Math.min(4 * n, file.bytes())) {
      int length = (int) Math.min(n, GgufReader.MAX_HEADER_BYTES);
      byte[] start =
          client.file(
              ref,
              listing.commit(),
              file.name(),
              "bytes=0-" + (length - 1),
              a -> exactly(a.body().readNBytes(length), length));
      try {
        return GgufReader.read(Path.of(file.name()), MemorySegment.ofArray(start), file.bytes());
      } catch (ModelFormatException e) {
        if (length == file.bytes() || length == GgufReader.MAX_HEADER_BYTES) {
          throw e;
        }
      }
    }
  }

  private Path resolve(HubReference ref, Path repository) throws IOException {
    HubClient client = new HubClient(settings);
    Snapshots snapshots = new Snapshots(repository);
    HubListing listing = listing(client, ref, snapshots);
    Path folder = snapshots.folder(listing.commit());
    Files.createDirectories(folder);

    List<HubFile> wanted = new ArrayList<>();
    Path result = folder;
    String file = ref.file() != null ? ref.file() : onlyGguf(ref, listing).orElse(null);
    if (file != null) {
      wanted.addAll(parts(ref, listing, file));
      listing.file(IndexSidecar.besideGguf(file)).ifPresent(wanted::add);
      result = folder.resolve(file);
    } else {
      listing.files().stream().filter(f -> COMPANIONS.contains(f.name())).forEach(wanted::add);
      required(ref, listing, "config.json");
      Optional<HubFile> index = listing.file(INDEX);
      if (index.isPresent()) {
        fetch(ref, listing, snapshots, List.of(index.get()));
        Path path = folder.resolve(INDEX);
        for (String part :
            SafetensorsReader.indexedFiles(path, MappedFile.readSmall(path, MAX_INDEX_BYTES))) {
          wanted.add(required(ref, listing, part));
        }
      } else {
        wanted.add(required(ref, listing, "model.safetensors"));
      }
    }
    fetch(ref, listing, snapshots, wanted);
    snapshots.hold(listing.commit());
    snapshots.prune(listing.commit(), Instant.now());
    return result;
  }

  private HubListing listing(HubClient client, HubReference ref, Snapshots snapshots)
      throws IOException {
    boolean fixed = HubReference.isCommit(ref.revision());
    String known = snapshots.meaning(ref.revision());
    HubListing stored = known == null ? null : snapshots.listing(known);
    if (stored != null && fixed) {
      snapshots.pin(stored.commit(), Instant.now());
    }
    if (stored != null && (fixed || settings.offline())) {
      return stored;
    }
    if (settings.offline()) {
      throw offline(ref, "its list of files");
    }
    HubListing fresh;
    try {
      fresh = client.listing(ref);
    } catch (ModelSourceException e) {
      if (stored == null || !e.retryable()) {
        throw e;
      }
      LOG.log(
          Level.WARNING,
          "{0}; going on with commit {1}, which is here already",
          e.getMessage(),
          stored.commit());
      return stored;
    }
    snapshots.remember(ref.revision(), fresh);
    return fresh;
  }

  private void fetch(
      HubReference ref, HubListing listing, Snapshots snapshots, List<HubFile> wanted)
      throws IOException {
    String commit = listing.commit();
    Map<String, HubFile> missing = new LinkedHashMap<>();
    long present = 0;
    for (HubFile f : wanted) {
      if (snapshots.has(commit, f) || snapshots.share(commit, f)) {
        present += f.bytes();
      } else {
        missing.put(f.hash(), f);
      }
    }
    if (missing.isEmpty()) {
      return;
    }
    if (settings.offline()) {
      throw offline(ref, missing.values().iterator().next().name());
    }
    new Download(settings, ref, commit, snapshots.folder(commit), snapshots.parts(), progress)
        .run(List.copyOf(missing.values()), present);
    for (HubFile f : wanted) {
      if (!snapshots.has(commit, f)) {
        snapshots.share(commit, f);
      }
    }
  }

  private byte[] small(
      HubClient client, HubReference ref, String commit, HubFile file, int maxBytes) {
    if (file.bytes() > maxBytes) {
      throw HubClient.strange(ref, file.name() + " has " + file.bytes() + " bytes");
    }
    int length = (int) file.bytes();
    return client.file(
        ref, commit, file.name(), null, a -> exactly(a.body().readNBytes(length), length));
  }

  private static byte[] exactly(byte[] bytes, int length) throws IOException {
    if (bytes.length != length) {
      throw new IOException("%d of %d bytes came".formatted(bytes.length, length));
    }
    return bytes;
  }

  /** The GGUF file of a repository that has nothing else, if that is how it is. */
  private static Optional<String> onlyGguf(HubReference ref, HubListing listing) {
    if (listing.file(INDEX).isPresent() || listing.file("model.safetensors").isPresent()) {
      return Optional.empty();
    }
    List<String> files =
        GgufPart.models(
            listing.files().stream().map(HubFile::name).filter(n -> n.endsWith(".gguf")).toList());
    if (files.size() > 1) {
      throw new ModelSourceException(
          ref.toString(),
          "the repository has several GGUF files: " + String.join(", ", files),
          "name one: " + ref + "/" + files.getFirst());
    }
    if (files.isEmpty()) {
      throw new ModelSourceException(
          ref.toString(),
          "the repository has neither safetensors nor GGUF files",
          "use a repository that has");
    }
    return Optional.of(files.getFirst());
  }

  private static HubFile required(HubReference ref, HubListing listing, String name) {
    return listing
        .file(name)
        .orElseThrow(
            () ->
                new ModelSourceException(
                    ref.toString(),
                    "the repository has no file " + name,
                    "it has: "
                        + String.join(
                            ", ", listing.files().stream().map(HubFile::name).limit(30).toList())));
  }

  private ModelSourceException offline(HubReference ref, String file) {
    return new ModelSourceException(
        ref.toString(),
        "%s is not in the cache %s, and HF_HUB_OFFLINE forbids the network".formatted(file, root),
        "unset HF_HUB_OFFLINE once, or download the model elsewhere and give its path, or use"
            + " builtin:kvdrive-tiny-32k");
  }
}
