package dev.kvdrive.bench.model;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A byte-level BPE vocabulary of any size for models that will never see a text: the 256 bytes, one
 * merge, and fillers.
 */
final class FillerVocabulary {
  static final String MERGE = "Ġ Ġ";

  /** Printable characters that stand for themselves in byte-level vocabularies. */
  private static final int[][] PRINTABLE = {{'!', '~'}, {0xA1, 0xAC}, {0xAE, 0xFF}};

  private FillerVocabulary() {}

  static List<String> tokens(int size) {
    List<String> tokens = new ArrayList<>(size);
    int next = 256;
    for (int b = 0; b < 256; b++) {
      tokens.add(Character.toString(printable(b) ? b : next++));
    }
    tokens.add("ĠĠ");
    while (tokens.size() < size) {
      tokens.add("<filler" + tokens.size() + ">");
    }
    return tokens;
  }

  private static boolean printable(int value) {
    for (int[] range : PRINTABLE) {
      if (value >= range[0] && value <= range[1]) {
        return true;
      }
    }
    return false;
  }

  /** Content of a tokenizer.json. */
  static Map<String, Object> tokenizerJson(int size) {
    Map<String, Integer> vocabulary = new LinkedHashMap<>();
    tokens(size).forEach(token -> vocabulary.put(token, vocabulary.size()));
    return tokenizerJson(vocabulary, List.of(MERGE), List.of());
  }

  /**
   * Content of a tokenizer.json.
   *
   * @param added tokens that are never split, with their ids
   */
  static Map<String, Object> tokenizerJson(
      Map<String, Integer> vocabulary, List<String> merges, List<Map<String, Object>> added) {
    Map<String, Object> byteLevel =
        Map.of(
            "type",
            "ByteLevel",
            "add_prefix_space",
            false,
            "trim_offsets",
            true,
            "use_regex",
            true);
    Map<String, Object> root = new LinkedHashMap<>();
    root.put("version", "1.0");
    root.put("added_tokens", added);
    root.put("normalizer", null);
    root.put("pre_tokenizer", byteLevel);
    root.put("post_processor", null);
    root.put("decoder", byteLevel);
    root.put(
        "model",
        Map.of(
            "type",
            "BPE",
            "ignore_merges",
            false,
            "byte_fallback",
            false,
            "vocab",
            vocabulary,
            "merges",
            merges));
    return root;
  }
}
