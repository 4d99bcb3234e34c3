package dev.kvdrive.bench.simulate;

import dev.kvdrive.kv.policy.SelectionObserver;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;

/**
 * Writes what an engine selects to a file, in the order in which it does: for each (row, layer, KV
 * head) the chosen chunks and the scores of all that were ever chosen there. A {@link Recording}
 * reads it.
 *
 * <p>After the {@link RecordingHeader} come records of a byte and numbers of seven bits a byte, the
 * lowest first: {@code OPENED} seat, budget (a double); {@code CLOSED} seat; {@code STEPPED};
 * {@code CHOSEN} purpose, layer, seat, head, position, closed chunks, how many were chosen; where
 * that is not all, the distances between them and a float for each chunk that is known so far.
 */
public final class SelectionRecorder implements SelectionObserver, AutoCloseable {
  static final int OPENED = 1;
  static final int CLOSED = 2;
  static final int STEPPED = 3;
  static final int CHOSEN = 4;

  /** Purposes by their numbers in a file. */
  static final List<Purpose> PURPOSES = List.of(Purpose.STEP, Purpose.WARM_UP, Purpose.PREFETCH);

  private static final int BUFFER = 1 << 16;

  private final Path file;
  private final DataOutputStream out;
  private final RecordingHeader header;
  private final KnownChunks[] known;

  /**
   * Begins a file; what is in it is lost.
   *
   * @param header the engine that will be recorded
   */
  public SelectionRecorder(Path file, RecordingHeader header) throws IOException {
    this.file = file;
    this.header = header;
    known = new KnownChunks[header.shape().seats() * windowsOfSeat()];
    out =
        new DataOutputStream(
            new BufferedOutputStream(
                new GZIPOutputStream(Files.newOutputStream(file), BUFFER) {
                  {
                    def.setLevel(Deflater.BEST_SPEED);
                  }
                },
                BUFFER));
    header.write(out);
  }

  private int windowsOfSeat() {
    return header.shape().layers() * header.shape().heads();
  }

  /** What writes a record. */
  private interface Entry {
    void write() throws IOException;
  }

  private synchronized void write(Entry entry) {
    try {
      entry.write();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write the recording " + file, e);
    }
  }

  @Override
  public void opened(int seat, double budget) {
    for (int window = 0; window < windowsOfSeat(); window++) {
      known[seat * windowsOfSeat() + window] = new KnownChunks();
    }
    write(
        () -> {
          out.writeByte(OPENED);
          number(seat);
          out.writeDouble(budget);
        });
  }

  @Override
  public void closed(int seat) {
    write(
        () -> {
          out.writeByte(CLOSED);
          number(seat);
        });
  }

  @Override
  public void stepped() {
    write(() -> out.writeByte(STEPPED));
  }

  @Override
  public void chosen(Choice choice) {
    write(() -> choice(choice));
  }

  private void choice(Choice choice) throws IOException {
    out.writeByte(CHOSEN);
    number(PURPOSES.indexOf(choice.purpose()));
    number(choice.layer());
    number(choice.seat());
    number(choice.head());
    number(choice.position());
    number(choice.closed());
    number(choice.chunks().length);
    if (choice.all()) {
      return;
    }
    int before = -1;
    for (int chunk : choice.chunks()) {
      number(chunk - before - 1);
      before = chunk;
    }
    int layer = choice.seat() * header.shape().layers() + choice.layer();
    KnownChunks of = known[layer * header.shape().heads() + choice.head()];
    of.add(choice.chunks());
    for (int chunk : of.chunks()) {
      out.writeFloat(choice.scores()[chunk]);
    }
  }

  private void number(int value) throws IOException {
    int left = value;
    while (left >= 0x80) {
      out.writeByte((left & 0x7f) | 0x80);
      left >>>= 7;
    }
    out.writeByte(left);
  }

  @Override
  public synchronized void close() throws IOException {
    out.close();
  }
}
