package dev.kvdrive.model.source;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * Downloads files of one commit, in pieces and several at a time. A file grows as {@code HASH.part}
 * with a list of its finished pieces in {@code HASH.pieces}, so that a later run goes on where this
 * one stops, also for another commit; it gets its name only when its hash is right.
 */
final class Download {
  private static final int BUFFER_BYTES = 1 << 18;

  private final HubClient client;
  private final HubSettings settings;
  private final HubReference ref;
  private final String commit;
  private final Path folder;
  private final Path partFolder;
  private final DownloadProgress progress;
  private final Object progressLock = new Object();
  private long done;
  private long total;
  private volatile boolean stopped;

  Download(
      HubSettings settings,
      HubReference ref,
      String commit,
      Path folder,
      Path partFolder,
      DownloadProgress progress) {
    this.client = new HubClient(settings);
    this.settings = settings;
    this.ref = ref;
    this.commit = commit;
    this.folder = folder;
    this.partFolder = partFolder;
    this.progress = progress;
  }

  /** One file on its way. */
  private static final class Part implements AutoCloseable {
    final HubFile file;
    final Path target;
    final Path data;
    final Path journal;
    final FileChannel channel;
    final BitSet finished;
    final int pieces;

    final int pieceBytes;

    Part(HubFile file, Path folder, Path partFolder, int pieceBytes) throws IOException {
      this.pieceBytes = pieceBytes;
      this.file = file;
      this.target = folder.resolve(file.name());
      this.data = partFolder.resolve(file.hash() + ".part");
      this.journal = partFolder.resolve(file.hash() + ".pieces");
      this.pieces = Math.toIntExact(Math.max(1, Math.ceilDiv(file.bytes(), pieceBytes)));
      Files.createDirectories(Objects.requireNonNull(target.getParent()));
      Files.createDirectories(partFolder);
      adopt(folder.resolve(file.name() + ".part"), data);
      adopt(folder.resolve(file.name() + ".pieces"), journal);
      this.finished = resumed();
      this.channel = FileChannel.open(data, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    }

    /** Takes over what a version that kept parts beside their files has left. */
    private static void adopt(Path before, Path now) throws IOException {
      if (Files.isRegularFile(before)) {
        Files.move(before, now, StandardCopyOption.REPLACE_EXISTING);
      }
    }

    long from(int piece) {
      return (long) piece * pieceBytes;
    }

    int length(int piece) {
      return (int) Math.min(pieceBytes, file.bytes() - from(piece));
    }

    /** Pieces that an earlier run finished; none if the journal is of other content. */
    private BitSet resumed() throws IOException {
      BitSet set = new BitSet(pieces);
      String header = file.hash() + " " + file.bytes() + " " + pieceBytes;
      List<String> lines =
          Files.exists(journal) && Files.exists(data)
              ? Files.readAllLines(journal, StandardCharsets.ISO_8859_1)
              : List.of();
      if (!lines.isEmpty() && lines.getFirst().equals(header)) {
        long size = Files.size(data);
        for (String line : lines.subList(1, lines.size())) {
          int piece = line.matches("[0-9]{1,9}") ? Integer.parseInt(line) : pieces;
          if (piece < pieces && from(piece) + length(piece) <= size) {
            set.set(piece);
          }
        }
      } else {
        Files.deleteIfExists(data);
        Files.writeString(journal, header + "\n");
      }
      return set;
    }

    synchronized void finish(int piece) throws IOException {
      finished.set(piece);
      Files.writeString(journal, piece + "\n", StandardOpenOption.APPEND);
    }

    @Override
    public void close() throws IOException {
      channel.close();
    }
  }

  /**
   * Downloads {@code files}, or throws the first error once every connection has ended.
   *
   * @param presentBytes bytes of other files of the model that are here already, for the progress
   */
  void run(List<HubFile> files, long presentBytes) throws IOException {
    List<Part> parts = new ArrayList<>();
    try {
      total = presentBytes;
      done = presentBytes;
      for (HubFile f : files) {
        Part part = new Part(f, folder, partFolder, settings.pieceBytes());
        parts.add(part);
        total += f.bytes();
        for (int p = part.finished.nextSetBit(0); p >= 0; p = part.finished.nextSetBit(p + 1)) {
          done += part.length(p);
        }
      }
      requireSpace();
      fetchAll(parts);
      for (Part part : parts) {
        publish(part);
      }
    } finally {
      for (Part part : parts) {
        part.close();
      }
    }
  }

  private void requireSpace() throws IOException {
    long free = folder.toFile().getUsableSpace();
    if (free < total - done) {
      throw new ModelSourceException(
          ref.toString(),
          "%d bytes are still to come, but %s has only %d bytes free"
              .formatted(total - done, folder, free),
          "make room, or name a cache folder on a larger disk");
    }
  }

  private void fetchAll(List<Part> parts) {
    ExecutorService pool =
        Executors.newFixedThreadPool(
            settings.connections(), Thread.ofPlatform().daemon().name("download-", 0).factory());
    CompletionService<Void> running = new ExecutorCompletionService<>(pool);
    List<Callable<Void>> missing = new ArrayList<>();
    for (Part part : parts) {
      for (int i = part.finished.nextClearBit(0);
          i < part.pieces;
          i = part.finished.nextClearBit(i + 1)) {
        int piece = i;
        missing.add(
            () -> {
              fetch(part, piece);
              return null;
            });
      }
    }
    try {
      missing.forEach(running::submit);
      for (int i = 0; i < missing.size(); i++) {
        running.take().get();
      }
    } catch (ExecutionException e) {
      Throwable cause = Objects.requireNonNullElse(e.getCause(), e);
      throw cause instanceof RuntimeException known ? known : unwritable(cause);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw stoppedError();
    } finally {
      stopped = true;
      client.cancel();
      pool.shutdownNow();
      awaitEnd(pool);
    }
  }

  /** No thread may write to a file that the next run has opened again. */
  private void awaitEnd(ExecutorService pool) {
    boolean interrupted = Thread.interrupted();
    long patience = settings.stall().toMillis() + 60_000;
    try {
      if (!pool.awaitTermination(patience, TimeUnit.MILLISECONDS)) {
        throw new IllegalStateException("a connection to the hub does not end");
      }
    } catch (InterruptedException e) {
      interrupted = true;
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void fetch(Part part, int piece) throws IOException {
    if (stopped) {
      throw stoppedError();
    }
    if (part.file.bytes() > 0) {
      long from = part.from(piece);
      int length = part.length(piece);
      boolean whole = part.pieces == 1;
      client.file(
          ref,
          commit,
          part.file.name(),
          whole ? null : "bytes=%d-%d".formatted(from, from + length - 1),
          answer -> {
            requireRange(part, answer, from, length, whole);
            copy(part, answer.body(), from, length);
            return length;
          });
    }
    part.finish(piece);
  }

  private void requireRange(
      Part part, HubClient.Answer answer, long from, int length, boolean whole) {
    String range = "bytes %d-%d/%d".formatted(from, from + length - 1, part.file.bytes());
    if (whole ? answer.bytes() >= 0 && answer.bytes() != length : answer.status() != 206) {
      throw HubClient.strange(
          ref,
          whole
              ? "%s has %d bytes instead of %d".formatted(part.file.name(), answer.bytes(), length)
              : "it sends all of " + part.file.name() + " where a part was asked for");
    }
    if (!whole && !range.equals(answer.contentRange())) {
      throw HubClient.strange(
          ref, "it sends %s instead of %s".formatted(answer.contentRange(), range));
    }
  }

  private void copy(Part part, InputStream body, long from, int length) throws IOException {
    byte[] buffer = new byte[BUFFER_BYTES];
    int copied = 0;
    try {
      while (copied < length) {
        int n = body.read(buffer, 0, Math.min(buffer.length, length - copied));
        if (n < 0) {
          throw new IOException("the body ended after %d of %d bytes".formatted(copied, length));
        }
        if (stopped) {
          throw stoppedError();
        }
        write(part, ByteBuffer.wrap(buffer, 0, n), from + copied);
        copied += n;
        advance(part.file, n);
      }
    } catch (IOException e) {
      advance(part.file, -copied);
      throw e;
    }
  }

  private void write(Part part, ByteBuffer bytes, long at) {
    try {
      while (bytes.hasRemaining()) {
        at += part.channel.write(bytes, at);
      }
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  private void advance(HubFile file, int bytes) {
    synchronized (progressLock) {
      done += bytes;
      progress.update(file.name(), done, total);
    }
  }

  private void publish(Part part) throws IOException {
    part.channel.force(true);
    String hash = part.file.hashOf(part.data);
    if (Files.size(part.data) != part.file.bytes() || !hash.equals(part.file.hash())) {
      Files.deleteIfExists(part.journal);
      Files.deleteIfExists(part.data);
      throw new ModelSourceException(
          ref.toString(),
          "%s arrived damaged: its checksum is %s instead of %s, so it was deleted"
              .formatted(part.file.name(), hash, part.file.hash()),
          "start the download again; if it happens again, check the mirror or proxy");
    }
    Files.move(
        part.data,
        part.target,
        StandardCopyOption.ATOMIC_MOVE,
        StandardCopyOption.REPLACE_EXISTING);
    Files.deleteIfExists(part.journal);
  }

  private ModelSourceException stoppedError() {
    return new ModelSourceException(
        ref.toString(), "the download was stopped", "start it again: it goes on where it was");
  }

  private ModelSourceException unwritable(Throwable cause) {
    return new ModelSourceException(
        ref.toString(),
        "a downloaded file cannot be written in %s (%s)".formatted(folder, cause.getMessage()),
        "make room or make the folder writable, then start again: it goes on where it was",
        false,
        cause);
  }
}
