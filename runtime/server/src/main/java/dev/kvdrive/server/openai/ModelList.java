package dev.kvdrive.server.openai;

import java.util.List;

/** {@code GET /v1/models}. */
public record ModelList(String object, List<Entry> data) {
  /**
   * One model.
   *
   * @param maxModelLen context length
   */
  public record Entry(String id, String object, long created, String ownedBy, int maxModelLen) {
    public static Entry of(String id, long created, int contextLength) {
      return new Entry(id, "model", created, "kvdrive", contextLength);
    }
  }

  public static ModelList of(Entry... entries) {
    return new ModelList("list", List.of(entries));
  }
}
