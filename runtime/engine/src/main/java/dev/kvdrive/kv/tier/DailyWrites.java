package dev.kvdrive.kv.tier;

import dev.kvdrive.plan.ByteSize;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * What is written to the NVMe tier, by the hour, and how much may be in a day: drives wear by what
 * is written to them. A day is whichever 24 hours, so that there is no midnight at which twice as
 * much could be written.
 *
 * <p>Where there is a limit, a record in the tier's folder outlives the process. It is ahead of
 * what was written, by a {@value #STEPS}th of the limit at most: who is killed has written no more
 * than it says. A record that is damaged is told of and counting begins anew.
 *
 * <p>Thread-safe. Nothing but {@link #record} and {@link #close} touches the disk.
 */
final class DailyWrites implements AutoCloseable {
  static final String RECORD_NAME = "kvdrive.writes";

  private static final Logger LOG = System.getLogger(DailyWrites.class.getName());
  private static final int STEPS = 256;
  private static final long HOURS = 24;
  private static final int MOST_RECORD_BYTES = 4096;
  private static final String TITLE = "bytes written by the hour since 1970";
  private static final Pattern LINE =
      Pattern.compile("^(\\d{1,12}) (\\d{1,18})$", Pattern.MULTILINE);

  private final long perDay;
  private final InstantSource clock;
  private final @Nullable Path file;

  /** Taken by who writes the record, for as long as that takes. */
  private final Object recording = new Object();

  private final TreeMap<Long, Long> byHour = new TreeMap<>();
  private long lastDay;
  private long sinceStart;
  private long recordedHour = -1;
  private long recordedBytes;

  private DailyWrites(long perDay, InstantSource clock, @Nullable Path file) {
    this.perDay = perDay;
    this.clock = clock;
    this.file = file;
  }

  /** Counts, without a limit. */
  static DailyWrites unlimited(InstantSource clock) {
    return new DailyWrites(Long.MAX_VALUE, clock, null);
  }

  /**
   * Goes on from the record in a folder, if there is one.
   *
   * @param folder locked for this process
   * @param perDay bytes that may be written in 24 hours; 0 for no limit, and then no record
   * @throws IOException if what is there cannot be read, or is no file
   */
  static DailyWrites in(Path folder, long perDay, InstantSource clock) throws IOException {
    if (perDay == 0) {
      return unlimited(clock);
    }
    Path file = folder.resolve(RECORD_NAME);
    DailyWrites writes = new DailyWrites(perDay, clock, file);
    if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
      if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
        throw new IOException(
            "%s there is no record of an engine; remove it, or name another folder"
                .formatted(RECORD_NAME));
      }
      writes.read(file);
    }
    return writes;
  }

  // --- what is counted ---

  /** Counts what is about to be written, unless that would be more than is left. */
  synchronized boolean take(long bytes) {
    if (bytes > left()) {
      return false;
    }
    add(bytes);
    return true;
  }

  /** Counts what is written whatever is left: repetitions, probes, zeros. */
  synchronized void add(long bytes) {
    long hour = roll();
    byHour.merge(hour, bytes, Long::sum);
    lastDay += bytes;
    sinceStart += bytes;
  }

  /** Bytes written since the start. */
  synchronized long sinceStart() {
    return sinceStart;
  }

  /** Bytes written in the last 24 hours; up to one hour more. */
  synchronized long lastDay() {
    roll();
    return lastDay;
  }

  /** Bytes that may be written in 24 hours; 0 if there is no limit. */
  long perDay() {
    return perDay == Long.MAX_VALUE ? 0 : perDay;
  }

  /** Bytes that may be written now; negative if more was written than might be. */
  synchronized long left() {
    roll();
    return perDay - lastDay;
  }

  /** How long it takes until so many bytes, at most those of a day, may be written. */
  Duration until(long bytes) {
    return Duration.between(clock.instant(), after(bytes));
  }

  /** When so many bytes, at most those of a day, may be written: now, or as an hour ends. */
  private synchronized Instant after(long bytes) {
    roll();
    long free = perDay - lastDay;
    Instant at = clock.instant();
    for (Map.Entry<Long, Long> hour : byHour.entrySet()) {
      if (free >= bytes) {
        break;
      }
      free += hour.getValue();
      at = Instant.ofEpochSecond(TimeUnit.HOURS.toSeconds(hour.getKey() + HOURS + 1));
    }
    return at;
  }

  /** Why so many bytes cannot be written now, with the way out. */
  String shortage(long bytes) {
    return shortage(bytes, "try again after %s".formatted(after(bytes)));
  }

  /** The same for who waits because so many bytes are promised to others and to it. */
  String promised(long bytes) {
    return shortage(bytes, "it begins when others have ended");
  }

  private String shortage(long bytes, String then) {
    return "%s may have to be written to NVMe and %s of %s are left of what may be written in 24 hours; %s, ask for fewer tokens, give DRAM more room, or allow more writes a day"
        .formatted(
            ByteSize.human(bytes),
            ByteSize.human(Math.max(0, left())),
            ByteSize.human(perDay),
            then);
  }

  /**
   * Forgets what is older than a day; the hour that it is. What bears an hour that is yet to come,
   * since a clock was wrong, counts as of now, so that it does not count for ever.
   */
  private long roll() {
    long now = TimeUnit.SECONDS.toHours(clock.instant().getEpochSecond());
    while (!byHour.isEmpty() && byHour.firstKey() < now - HOURS) {
      lastDay -= byHour.pollFirstEntry().getValue();
    }
    while (!byHour.isEmpty() && byHour.lastKey() > now) {
      byHour.merge(now, byHour.pollLastEntry().getValue(), Long::sum);
    }
    return now;
  }

  // --- the record ---

  /**
   * Sees to it that the record says at least what was counted. Comes before each write.
   *
   * @throws IOException if it cannot be written
   */
  void record() throws IOException {
    if (file != null && behind()) {
      synchronized (recording) {
        if (behind()) {
          write(file, Math.max(1, perDay / STEPS));
        }
      }
    }
  }

  private synchronized boolean behind() {
    Map.Entry<Long, Long> last = byHour.lastEntry();
    return last != null && (last.getKey() != recordedHour || last.getValue() > recordedBytes);
  }

  private void write(Path to, long ahead) throws IOException {
    StringBuilder text = new StringBuilder(TITLE).append('\n');
    long hour = -1;
    long bytes = 0;
    synchronized (this) {
      for (Map.Entry<Long, Long> entry : byHour.entrySet()) {
        hour = entry.getKey();
        bytes = entry.getValue() + (hour == byHour.lastKey() ? ahead : 0);
        text.append(hour).append(' ').append(bytes).append('\n');
      }
    }
    text.append(checksum(text.toString())).append('\n');
    Path next = to.resolveSibling(RECORD_NAME + ".new");
    Files.deleteIfExists(next);
    try (FileChannel channel =
        FileChannel.open(
            next,
            Set.of(
                StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS),
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")))) {
      ByteBuffer left = ByteBuffer.wrap(text.toString().getBytes(StandardCharsets.US_ASCII));
      while (left.hasRemaining()) {
        channel.write(left);
      }
      channel.force(true);
    }
    Files.move(next, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    synchronized (this) {
      recordedHour = hour;
      recordedBytes = bytes;
    }
  }

  private void read(Path from) throws IOException {
    String text =
        Files.size(from) > MOST_RECORD_BYTES
            ? ""
            : Files.readString(from, StandardCharsets.ISO_8859_1);
    Map<Long, Long> seen = parse(text);
    if (seen == null) {
      LOG.log(
          Level.WARNING,
          "{0} is damaged: how much was written in the last 24 hours is not known and counts as"
              + " nothing, so that up to {1} more than may be can be written until tomorrow",
          from,
          ByteSize.human(perDay));
      return;
    }
    synchronized (this) {
      byHour.putAll(seen);
      byHour.values().forEach(bytes -> lastDay += bytes);
      roll();
    }
  }

  /** What a record says; null if it is damaged. */
  private static @Nullable Map<Long, Long> parse(String text) {
    int end = text.lastIndexOf('\n', text.length() - 2) + 1;
    String said = text.substring(0, end);
    if (!text.equals(said + checksum(said) + "\n") || !said.startsWith(TITLE + "\n")) {
      return null;
    }
    Map<Long, Long> seen = new HashMap<>();
    Matcher hour = LINE.matcher(said);
    while (hour.find()) {
      seen.put(Long.parseLong(hour.group(1)), Long.parseLong(hour.group(2)));
    }
    return seen;
  }

  private static String checksum(String text) {
    CRC32C sum = new CRC32C();
    sum.update(text.getBytes(StandardCharsets.ISO_8859_1));
    return "%08x".formatted(sum.getValue());
  }

  /** Leaves a record of exactly what was written. */
  @Override
  public void close() {
    synchronized (recording) {
      try {
        if (file != null) {
          write(file, 0);
        }
      } catch (IOException e) {
        LOG.log(Level.WARNING, "the record of writes " + file + " cannot be written", e);
      }
    }
  }
}
