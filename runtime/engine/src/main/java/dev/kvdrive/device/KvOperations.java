package dev.kvdrive.device;

import static dev.kvdrive.device.Checks.check;
import static dev.kvdrive.device.Checks.checkSeat;
import static dev.kvdrive.device.Checks.kvWidth;
import static dev.kvdrive.device.Checks.require;
import static dev.kvdrive.device.Checks.view;

/** Where keys and values are written: sink and ring, DRAM frames, the scratch of a prompt. */
public interface KvOperations {
  /**
   * Writes the new keys and values {@code [rows][kvHeads*headDim]} into sink or ring. Where that
   * makes a chunk close, first copies the oldest chunk of the ring to its place in the DRAM frame
   * of its extent, which the host has provided. The chunk's rows stay in the ring until the next
   * token.
   */
  record Append(LayerStep step, FramePool frames, Activations keys, Activations values) {
    public Append {
      check(step.layer().layout(), frames);
      int width = kvWidth(step.layer().layout());
      view("keys", keys, step.batch().rows(), width);
      view("values", values, step.batch().rows(), width);
    }
  }

  /**
   * Writes keys and values of prompt tokens {@code [start, start+rows)} to the scratch: those of
   * chunks that close as they come back from their backing form, others as they are. So what a
   * token of the prompt attends does not depend on whether a chunk was just computed, or {@link
   * Recall recalled}.
   *
   * @param closing tokens up to the end of the last chunk that is closed at the end of the prompt,
   *     sink included
   */
  record Store(
      KvLayer layer,
      PrefillScratch scratch,
      int start,
      int rows,
      int closing,
      Activations keys,
      Activations values) {
    public Store {
      check(layer);
      require(closing >= 0, "%d tokens are closed", closing);
      check(layer.layout(), scratch, start, rows);
      int width = kvWidth(layer.layout());
      view("keys", keys, rows, width);
      view("values", values, rows, width);
    }
  }

  /** Copies the chunks to the DRAM frames of their extents, which the host has provided. */
  record Close(PromptChunks chunks, FramePool frames) {
    public Close {
      check(chunks.layer().layout(), frames);
    }
  }

  /**
   * Copies chunks from the DRAM frames of their extents, which the host has provided, to the
   * scratch, in the type of keys and values.
   */
  record Recall(PromptChunks chunks, FramePool frames) {
    public Recall {
      check(chunks.layer().layout(), frames);
    }
  }

  /** Copies sink and ring of a prompt of {@code tokens} tokens from the scratch to {@code seat}. */
  record Seed(KvLayer layer, PrefillScratch scratch, int seat, int tokens) {
    public Seed {
      check(layer);
      checkSeat(layer, seat);
      check(layer.layout(), scratch, 0, tokens);
    }
  }

  /**
   * Empties the window and the maps of {@code seat}: what a new sequence finds. {@code lastUse}
   * becomes -1, and no chunk is in clusters; {@code frameOfExtent} is the host's and stays, {@code
   * keyOfSlot} means nothing where a slot is empty.
   */
  record Reset(KvLayer layer, int seat) {
    public Reset {
      check(layer);
      checkSeat(layer, seat);
    }
  }

  /**
   * Writes changed frames of extents, of whatever layers: {@code changes} begins with {@code count}
   * pairs {@code {index, frame}}, no index twice, for {@code frameOfExtent[index]}.
   */
  record Place(DeviceBuffer frameOfExtent, DeviceBuffer changes, int count) {
    public Place {
      require(
          count >= 0 && 8L * count <= changes.bytes(),
          "%d changes in %s of %d bytes",
          count,
          changes.label(),
          changes.bytes());
    }
  }

  /** See {@link Append}. */
  void append(Queue queue, Append append);

  /** See {@link Store}. */
  void store(Queue queue, Store store);

  /** See {@link Close}. */
  void close(Queue queue, Close close);

  /** See {@link Recall}. */
  void recall(Queue queue, Recall recall);

  /** See {@link Seed}. */
  void seed(Queue queue, Seed seed);

  /** See {@link Reset}. */
  void reset(Queue queue, Reset reset);

  /** See {@link Place}. */
  void place(Queue queue, Place place);
}
