package dev.kvdrive.model.source;

/** Hears how a download gets on. */
@FunctionalInterface
public interface DownloadProgress {
  /** Hears nothing. */
  DownloadProgress NONE = (file, done, total) -> {};

  /**
   * Called after every piece, from one of the download's threads but never from two at once. Must
   * return quickly.
   *
   * @param file name of the file that the piece belongs to
   * @param doneBytes bytes that are here, over all files of the model, resumed ones included
   * @param totalBytes bytes of all files of the model
   */
  void update(String file, long doneBytes, long totalBytes);
}
