package dev.kvdrive.bench.simulate;

import dev.kvdrive.kv.policy.SelectionObserver.Purpose;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;
import org.jspecify.annotations.Nullable;

/**
 * What an engine has selected, in memory, to be replayed as often as wanted.
 *
 * @param header the engine
 * @param events in their order
 * @param whole whether it was not interrupted
 */
public record Recording(RecordingHeader header, List<Event> events, boolean whole) {
  /** Budgets that differ by less are the same. */
  public static final double SAME_BUDGET = 1e-9;

  /** What happened. */
  public sealed interface Event {}

  /** A sequence took a seat. */
  public record Opened(int seat, double budget) implements Event {}

  /** A sequence left its seat. */
  public record Closed(int seat) implements Event {}

  /** All rows of a step have run. */
  public record Stepped() implements Event {}

  /**
   * Chunks were chosen.
   *
   * @param known chunks that were ever chosen there, ascending; empty where all were chosen
   * @param scores of those
   */
  @SuppressWarnings("ArrayRecordComponent") // read once, never written
  public record Chosen(
      Purpose purpose,
      int layer,
      int seat,
      int head,
      int position,
      int closed,
      int[] chunks,
      int[] known,
      float[] scores)
      implements Event {
    boolean all() {
      return chunks.length >= closed;
    }

    Chosen on(int other) {
      return new Chosen(purpose, layer, other, head, position, closed, chunks, known, scores);
    }
  }

  /**
   * Reads a file of a {@link SelectionRecorder}. A recording that was interrupted is read up to
   * there.
   *
   * @throws IOException if it is none
   */
  public static Recording read(Path file) throws IOException {
    try (DataInputStream in =
        new DataInputStream(
            new BufferedInputStream(
                new GZIPInputStream(Files.newInputStream(file), 1 << 16), 1 << 16))) {
      if (!RecordingHeader.begins(in)) {
        throw none(file, null);
      }
      RecordingHeader header = RecordingHeader.read(in);
      List<Event> events = new ArrayList<>();
      int windows = header.shape().layers() * header.shape().heads();
      KnownChunks[] known = new KnownChunks[header.shape().seats() * windows];
      try {
        for (int type = in.read(); type >= 0; type = in.read()) {
          events.add(event(in, type, header, known, windows));
        }
      } catch (EOFException e) {
        // Interrupted: what came before is whole.
        return new Recording(header, events, false);
      }
      return new Recording(header, events, true);
    } catch (DamagedException | IndexOutOfBoundsException | NegativeArraySizeException e) {
      throw new IOException("%s: it is damaged; record it again".formatted(file), e);
    } catch (EOFException e) {
      throw new IOException(
          "%s: it ends before its first step; it was interrupted early, record it again"
              .formatted(file),
          e);
    } catch (ZipException e) {
      throw none(file, e);
    }
  }

  private static IOException none(Path file, @Nullable Throwable cause) {
    return new IOException(
        "%s: it is no recording that ./kvdrive eval --record has written".formatted(file), cause);
  }

  /** Bytes that no recorder writes. */
  static final class DamagedException extends IOException {
    private static final long serialVersionUID = 1L;

    DamagedException(String why) {
      super(why);
    }
  }

  /** The budgets that its sequences were answered with, the largest first. */
  public List<Double> budgets() {
    return events.stream()
        .filter(Opened.class::isInstance)
        .map(event -> ((Opened) event).budget())
        .distinct()
        .sorted(Comparator.reverseOrder())
        .toList();
  }

  /**
   * The first position behind the prompt of each sequence, in the order in which they took seats; 0
   * for one that never had a step.
   */
  List<Integer> promptEnds() {
    List<Integer> ends = new ArrayList<>();
    int[] sequenceOf = new int[header.shape().seats()];
    for (Event event : events) {
      if (event instanceof Opened(int seat, double _)) {
        sequenceOf[seat] = ends.size();
        ends.add(0);
      } else if (event instanceof Chosen choice && choice.purpose() == Purpose.STEP) {
        int sequence = sequenceOf[choice.seat()];
        if (ends.get(sequence) == 0) {
          ends.set(sequence, choice.position());
        }
      }
    }
    return ends;
  }

  /**
   * The sequences that were answered with a budget, as an engine would have had them that had no
   * others and no more seats than they take.
   */
  Recording only(double budget) {
    int[] seatOf = new int[header.shape().seats()];
    Arrays.fill(seatOf, -1);
    boolean[] taken = new boolean[seatOf.length];
    List<Event> kept = new ArrayList<>();
    int seats = 1;
    boolean stepped = false;
    for (Event event : events) {
      switch (event) {
        case Opened(int seat, double of) -> {
          if (Math.abs(of - budget) < SAME_BUDGET) {
            int free = 0;
            while (taken[free]) {
              free++;
            }
            taken[free] = true;
            seatOf[seat] = free;
            seats = Math.max(seats, free + 1);
            kept.add(new Opened(free, of));
          }
        }
        case Closed(int seat) -> {
          if (seatOf[seat] >= 0) {
            kept.add(new Closed(seatOf[seat]));
            taken[seatOf[seat]] = false;
            seatOf[seat] = -1;
          }
        }
        case Stepped() -> {
          if (stepped) {
            kept.add(event);
          }
          stepped = false;
        }
        case Chosen choice -> {
          if (seatOf[choice.seat()] >= 0) {
            stepped |= choice.purpose() == Purpose.STEP;
            kept.add(choice.on(seatOf[choice.seat()]));
          }
        }
      }
    }
    return new Recording(header.withSeats(seats), kept, whole);
  }

  private static Event event(
      DataInputStream in, int type, RecordingHeader header, KnownChunks[] known, int windows)
      throws IOException {
    return switch (type) {
      case SelectionRecorder.OPENED -> opened(in, known, windows);
      case SelectionRecorder.CLOSED -> new Closed(number(in));
      case SelectionRecorder.STEPPED -> new Stepped();
      case SelectionRecorder.CHOSEN -> chosen(in, header, known);
      default -> throw new DamagedException("a record of a recording cannot have type " + type);
    };
  }

  private static Opened opened(DataInputStream in, KnownChunks[] known, int windows)
      throws IOException {
    int seat = number(in);
    for (int window = 0; window < windows; window++) {
      known[seat * windows + window] = new KnownChunks();
    }
    return new Opened(seat, in.readDouble());
  }

  private static Chosen chosen(DataInputStream in, RecordingHeader header, KnownChunks[] known)
      throws IOException {
    Purpose purpose = SelectionRecorder.PURPOSES.get(number(in));
    int layer = number(in);
    int seat = number(in);
    int head = number(in);
    int position = number(in);
    int closed = number(in);
    int[] chunks = new int[number(in)];
    if (chunks.length >= closed) {
      for (int i = 0; i < chunks.length; i++) {
        chunks[i] = i;
      }
      return new Chosen(
          purpose, layer, seat, head, position, closed, chunks, new int[0], new float[0]);
    }
    int next = 0;
    for (int i = 0; i < chunks.length; i++) {
      chunks[i] = next + number(in);
      next = chunks[i] + 1;
    }
    KnownChunks of =
        known[(seat * header.shape().layers() + layer) * header.shape().heads() + head];
    of.add(chunks);
    float[] scores = new float[of.chunks().length];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = in.readFloat();
    }
    return new Chosen(purpose, layer, seat, head, position, closed, chunks, of.chunks(), scores);
  }

  private static int number(DataInputStream in) throws IOException {
    int value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      int part = in.readUnsignedByte();
      value |= (part & 0x7f) << shift;
      if (part < 0x80) {
        return value;
      }
    }
    throw new DamagedException("a number of a recording has more than 32 bits");
  }
}
