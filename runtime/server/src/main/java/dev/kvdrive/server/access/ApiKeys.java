package dev.kvdrive.server.access;

import dev.kvdrive.model.file.FileFault;
import io.github.bucket4j.TimeMeter;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The keys that may call the API, and who calls with them, from a {@link KeyFile}. Only hashes are
 * kept, and every one of them is compared in constant time, so neither a dump nor a stopwatch gives
 * a key away. Thread-safe.
 */
public final class ApiKeys {
  /** Bytes of a key file at most. */
  static final int MAX_FILE_BYTES = 1 << 20;

  private static final Logger log = LoggerFactory.getLogger(ApiKeys.class);

  /** Told of the names that there are; called with the lock of the keys held. */
  public interface Listener {
    /** A name is in the file from now on. */
    void added(Caller caller);

    /** A name that was in it is not any more, and nothing of it runs. */
    void removed(Caller caller);
  }

  private final Path file;
  private final Listener listener;
  private final TimeMeter clock;
  private volatile List<Key> keys = List.of();

  // guarded by this
  private final Map<String, Caller> callers = new LinkedHashMap<>();
  private Set<String> names = Set.of();
  private byte[] fileHash = {};
  private String lastFailure = "";

  private record Key(KeyHash hash, Caller caller) {}

  private ApiKeys(Path file, Listener listener, TimeMeter clock) {
    this.file = file;
    this.listener = listener;
    this.clock = clock;
  }

  /**
   * Reads the file.
   *
   * @throws IllegalArgumentException if it cannot be read, holds no key or one that is wrong
   */
  public static ApiKeys read(Path file, Listener listener) {
    return read(file, listener, TimeMeter.SYSTEM_NANOTIME);
  }

  static ApiKeys read(Path file, Listener listener, TimeMeter clock) {
    try {
      byte[] bytes = bytes(file);
      KeyFile read = KeyFile.parse(file, bytes);
      if (read.entries().isEmpty()) {
        throw new IllegalArgumentException(
            "the API key file %s has no keys; write one per line".formatted(file));
      }
      ApiKeys keys = new ApiKeys(file, listener, clock);
      keys.take(read, bytes);
      return keys;
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "the API key file %s cannot be read: %s".formatted(file, FileFault.reason(e)), e);
    }
  }

  /**
   * Takes over a changed file. A file that cannot be read, or that is wrong, changes nothing: the
   * keys read last stay valid until a good file is there. A good file without keys admits nobody.
   */
  public synchronized void reload() {
    try {
      byte[] bytes = bytes(file);
      if (!Arrays.equals(KeyHash.sha256(bytes), fileHash)) {
        take(KeyFile.parse(file, bytes), bytes);
        if (keys.isEmpty()) {
          log.warn(
              "API keys reloaded: {} has no keys any more, so nobody is admitted; write one per line",
              file);
        } else {
          log.info(
              "API keys reloaded: {} of {}",
              counted(keys.size(), "key"),
              counted(names.size(), "name"));
        }
      }
      lastFailure = "";
    } catch (IOException e) {
      fail("the API key file %s cannot be read: %s".formatted(file, FileFault.reason(e)));
    } catch (IllegalArgumentException e) {
      fail(String.valueOf(e.getMessage()));
    }
    forget();
  }

  /** Says why nothing was taken over, once until there is something else to say. */
  private synchronized void fail(String failure) {
    if (!failure.equals(lastFailure)) {
      log.warn(
          keys.isEmpty()
              ? "API keys not reloaded, nobody is admitted until they are: {}"
              : "API keys not reloaded, the earlier ones stay valid: {}",
          failure);
      lastFailure = failure;
    }
  }

  private static String counted(int count, String what) {
    return count + " " + what + (count == 1 ? "" : "s");
  }

  private synchronized void take(KeyFile read, byte[] bytes) {
    List<Key> fresh = new ArrayList<>();
    Set<String> present = new LinkedHashSet<>();
    for (KeyFile.Entry entry : read.entries()) {
      Caller caller = callers.get(entry.name());
      if (caller == null) {
        caller = new Caller(entry.name(), entry.limits(), clock);
        callers.put(entry.name(), caller);
        listener.added(caller);
      } else {
        caller.limit(entry.limits());
      }
      present.add(entry.name());
      for (KeyHash hash : entry.hashes()) {
        fresh.add(new Key(hash, caller));
      }
    }
    keys = List.copyOf(fresh);
    names = Set.copyOf(present);
    fileHash = KeyHash.sha256(bytes);
  }

  /**
   * Forgets names that have left the file, but not before a name that comes back would find its
   * limits as they were.
   */
  private synchronized void forget() {
    callers
        .values()
        .removeIf(
            caller -> {
              boolean gone = !names.contains(caller.name()) && caller.isUnused();
              if (gone) {
                listener.removed(caller);
              }
              return gone;
            });
  }

  /** Whose key it is; empty if it is none of those in the file. */
  public Optional<Caller> caller(String key) {
    KeyHash hash = KeyHash.of(key);
    @Nullable Caller found = null;
    for (Key known : keys) {
      if (known.hash().matches(hash)) {
        found = known.caller();
      }
    }
    return Optional.ofNullable(found);
  }

  private static byte[] bytes(Path file) throws IOException {
    try (InputStream in = Files.newInputStream(file)) {
      byte[] bytes = in.readNBytes(MAX_FILE_BYTES + 1);
      if (bytes.length > MAX_FILE_BYTES) {
        throw new IllegalArgumentException(
            "the API key file %s is larger than %d bytes".formatted(file, MAX_FILE_BYTES));
      }
      return bytes;
    }
  }
}
