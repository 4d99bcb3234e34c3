package dev.kvdrive.text;

import java.nio.charset.StandardCharsets;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Reads a tokenizer from GGUF metadata. */
final class GgufTokenizer {

  private static final String PREFIX = "tokenizer.ggml.";

  private static final int UNKNOWN = 2;
  private static final int CONTROL = 3;
  private static final int USER_DEFINED = 4;
  private static final int UNUSED = 5;
  private static final int BYTE = 6;

  private final Map<String, ? extends @Nullable Object> metadata;
  private final String[] tokens;
  private final int[] types;

  private GgufTokenizer(Map<String, ? extends @Nullable Object> metadata) {
    this.metadata = metadata;
    String[] listed = array("tokens", String[].class);
    if (listed == null || listed.length == 0) {
      throw new TokenizerException(
          "the GGUF metadata has no " + PREFIX + "tokens; the file holds no vocabulary");
    }
    Limits.check("a vocabulary", listed.length, Limits.TOKENS);
    int[] listedTypes = array("token_type", int[].class);
    if (listedTypes != null && listedTypes.length != listed.length) {
      throw new TokenizerException(
          PREFIX
              + "token_type has "
              + listedTypes.length
              + " entries for "
              + listed.length
              + " tokens");
    }
    tokens = listed;
    types = listedTypes == null ? filled(listed.length, 1) : listedTypes;
  }

  static Tokenizer read(Map<String, ? extends @Nullable Object> metadata) {
    if (!metadata.containsKey(PREFIX + "model")) {
      throw new TokenizerException(
          "the GGUF metadata has no " + PREFIX + "model; the file holds no tokenizer");
    }
    GgufTokenizer reader = new GgufTokenizer(metadata);
    String model = reader.text("model", "");
    return switch (model) {
      case "gpt2" -> reader.byteLevel();
      case "llama" -> reader.sentencePiece(true);
      case "t5" -> reader.sentencePiece(false);
      default ->
          throw new TokenizerException(
              PREFIX + "model '" + model + "' is not supported; supported are gpt2, llama and t5");
    };
  }

  private Tokenizer byteLevel() {
    Map<String, Integer> ids = index();
    GgufPreTokenizer pre = GgufPreTokenizer.named(text("pre", "default"));
    String[] lines = array("merges", String[].class);
    if (lines == null) {
      throw new TokenizerException(
          "the GGUF metadata has no " + PREFIX + "merges, which the gpt2 model needs");
    }
    Limits.check("merges", lines.length, Limits.MERGES);
    PairTable merges = new PairTable();
    for (int rank = 0; rank < lines.length; rank++) {
      int space = lines[rank].indexOf(' ', 1);
      if (space < 0) {
        throw new TokenizerException(
            PREFIX + "merges[" + rank + "] is '" + lines[rank] + "', not two pieces");
      }
      Merges.add(
          merges, ids, lines[rank].substring(0, space), lines[rank].substring(space + 1), rank);
    }
    byte[][] written = new byte[tokens.length][];
    Map<String, Integer> words = new HashMap<>();
    for (int id = 0; id < tokens.length; id++) {
      boolean plain = isPlain(id);
      written[id] =
          plain ? ByteAlphabet.bytes(tokens[id]) : tokens[id].getBytes(StandardCharsets.UTF_8);
      if (plain && pre.ignoresMerges()) {
        Merges.addWord(words, written[id], id);
      }
    }
    WordModel model =
        new BytePairModel(
            Merges.byteSymbols(ids),
            Map.of(),
            merges,
            words,
            new BytePairModel.Fallback(null, -1, false));
    List<PreTokenizer> stages = new ArrayList<>();
    if (flag("add_space_prefix", false)) {
      stages.add(new PreTokenizer.PrefixSpace());
    }
    for (String regex : pre.patterns()) {
      Pattern pattern = PreTokenizer.pattern(regex);
      stages.add(new PreTokenizer.Split(pattern, PreTokenizer.Behavior.ISOLATED, false));
    }
    List<TextNormalizer> normalizers =
        pre.composed() ? List.of(TextNormalizer.unicode(Normalizer.Form.NFC)) : List.of();
    return tokenizer(written, stages, normalizers, model, false, pre.bos(), false);
  }

  /**
   * @param pairs byte-pair merges by score (true) or the unigram model (false)
   */
  private Tokenizer sentencePiece(boolean pairs) {
    Map<String, Integer> ids = index();
    float[] scores = array("scores", float[].class);
    if (scores == null || scores.length != tokens.length) {
      throw new TokenizerException(
          PREFIX
              + "scores has "
              + (scores == null ? "no" : scores.length)
              + " entries for "
              + tokens.length
              + " tokens");
    }
    for (int id = 0; id < scores.length; id++) {
      if (!Float.isFinite(scores[id])) {
        throw new TokenizerException(PREFIX + "scores[" + id + "] is " + scores[id]);
      }
    }
    byte[][] written = new byte[tokens.length][];
    @Nullable String[] pieces = new @Nullable String[tokens.length];
    int[] byteIds = filled(256, -1);
    for (int id = 0; id < tokens.length; id++) {
      if (types[id] == BYTE) {
        int value = Merges.byteValue(tokens[id]);
        if (value < 0) {
          throw new TokenizerException(
              PREFIX + "tokens[" + id + "] is of type byte but reads '" + tokens[id] + "'");
        }
        byteIds[value] = id;
        written[id] = new byte[] {(byte) value};
      } else if (isPlain(id)) {
        pieces[id] = tokens[id];
        written[id] = tokens[id].replace('▁', ' ').getBytes(StandardCharsets.UTF_8);
      } else {
        written[id] = tokens[id].getBytes(StandardCharsets.UTF_8);
      }
    }
    boolean bytes = Arrays.stream(byteIds).allMatch(id -> id >= 0);
    int unknown = (int) number("unknown_token_id", ids.getOrDefault("<unk>", -1));
    boolean prefix = flag("add_space_prefix", true);
    byte[] charsmap = array("precompiled_charsmap", byte[].class);
    List<TextNormalizer> normalizers = new ArrayList<>();
    if (!pairs && charsmap != null && charsmap.length > 0) {
      throw new TokenizerException(
          PREFIX + "precompiled_charsmap is not supported; supported is the identity normaliser");
    }
    List<PreTokenizer> stages = new ArrayList<>();
    if (flag("remove_extra_whitespaces", false)) {
      normalizers.add(TextNormalizer.singleSpaces());
    }
    if (prefix) {
      // Unlike the mark of tokenizer.json, the prefix comes in front of a space, too.
      normalizers.add((text, work) -> " " + text);
    }
    stages.add(new PreTokenizer.Metaspace('▁', PreTokenizer.Prepend.NEVER, false));
    WordModel model =
        pairs
            ? Merges.byScore(pieces, ids, scores, bytes ? byteIds : null, unknown)
            : new UnigramModel(pieces, widened(scores), unknown, bytes ? byteIds : null);
    return tokenizer(written, stages, normalizers, model, prefix, pairs, !pairs);
  }

  private Tokenizer tokenizer(
      byte[][] written,
      List<PreTokenizer> stages,
      List<TextNormalizer> normalizers,
      WordModel model,
      boolean stripsLeadingSpace,
      boolean addBosDefault,
      boolean addEosDefault) {
    String name = text("general.name", "", "").toLowerCase(Locale.ROOT);
    boolean phi3 = name.contains("phi-3") || name.contains("phi3");
    Set<String> unstripped = Set.of("<unk>", "<s>", "<|endoftext|>");
    boolean[] special = new boolean[tokens.length];
    List<AddedTokens.Added> added = new ArrayList<>();
    Set<Integer> ends = new HashSet<>();
    for (int id = 0; id < tokens.length; id++) {
      special[id] = types[id] == CONTROL || types[id] == UNKNOWN;
      if ((special[id] || types[id] == USER_DEFINED) && !tokens[id].isEmpty()) {
        boolean rstrip = phi3 && !unstripped.contains(tokens[id]);
        added.add(new AddedTokens.Added(id, tokens[id], special[id], false, false, rstrip));
      }
      if (special[id] && EndOfGeneration.isNamed(tokens[id])) {
        ends.add(id);
      }
    }
    OptionalInt bos = id("bos_token_id");
    OptionalInt eos = id("eos_token_id");
    eos.ifPresent(ends::add);
    id("eot_token_id").ifPresent(ends::add);
    id("eom_token_id").ifPresent(ends::add);
    return new PipelineTokenizer(
        new PipelineTokenizer.Parts(
            new Vocabulary(tokens.clone(), written, special),
            new AddedTokens(added),
            new AddedTokens(List.of()),
            List.copyOf(normalizers),
            List.copyOf(stages),
            model,
            stripsLeadingSpace,
            new SpecialTokens(
                bos,
                eos,
                ends,
                flag("add_bos_token", addBosDefault && bos.isPresent()),
                flag("add_eos_token", addEosDefault && eos.isPresent()))));
  }

  /** Whether text can become this token by the word model. */
  private boolean isPlain(int id) {
    int type = types[id];
    return type != CONTROL
        && type != UNKNOWN
        && type != BYTE
        && type != UNUSED
        && type != USER_DEFINED;
  }

  private Map<String, Integer> index() {
    Map<String, Integer> ids = HashMap.newHashMap(tokens.length);
    for (int id = 0; id < tokens.length; id++) {
      Limits.check("a token", tokens[id].length(), Limits.PIECE_CHARS);
      Integer before = ids.put(tokens[id], id);
      if (before != null) {
        throw new TokenizerException(
            PREFIX + "tokens holds '" + tokens[id] + "' twice, as " + before + " and " + id);
      }
    }
    return ids;
  }

  private OptionalInt id(String key) {
    Object value = metadata.get(PREFIX + key);
    if (value == null) {
      return OptionalInt.empty();
    }
    long id = number(key, -1);
    // 2^32 - 1 is how writers say that there is none.
    if (id == 0xffffffffL || id == -1) {
      return OptionalInt.empty();
    }
    if (id < 0 || id >= tokens.length) {
      throw new TokenizerException(
          PREFIX + key + " is " + id + ", outside the vocabulary of " + tokens.length);
    }
    return OptionalInt.of((int) id);
  }

  private String text(String key, String absent) {
    return text(PREFIX + key, absent, absent);
  }

  private String text(String key, String absent, String blank) {
    Object value = metadata.get(key);
    if (value == null) {
      return absent;
    }
    if (!(value instanceof String text)) {
      throw wrongType(key, "text", value);
    }
    return text.isBlank() ? blank : text;
  }

  private boolean flag(String key, boolean absent) {
    Object value = metadata.get(PREFIX + key);
    if (value == null) {
      return absent;
    }
    if (!(value instanceof Boolean flag)) {
      throw wrongType(PREFIX + key, "a boolean", value);
    }
    return flag;
  }

  private long number(String key, long absent) {
    Object value = metadata.get(PREFIX + key);
    if (value == null) {
      return absent;
    }
    if (!(value instanceof Number number)) {
      throw wrongType(PREFIX + key, "a number", value);
    }
    return number instanceof Integer i ? Integer.toUnsignedLong(i) : number.longValue();
  }

  private <T> @Nullable T array(String key, Class<T> type) {
    Object value = metadata.get(PREFIX + key);
    if (value == null) {
      return null;
    }
    if (!type.isInstance(value)) {
      throw wrongType(PREFIX + key, "an array (" + type.getSimpleName() + ")", value);
    }
    return type.cast(value);
  }

  private static TokenizerException wrongType(String key, String wanted, Object value) {
    return new TokenizerException(
        "the GGUF key "
            + key
            + " must be "
            + wanted
            + " but is "
            + value.getClass().getSimpleName());
  }

  private static int[] filled(int length, int value) {
    int[] array = new int[length];
    Arrays.fill(array, value);
    return array;
  }

  private static double[] widened(float[] scores) {
    double[] wide = new double[scores.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = scores[i];
    }
    return wide;
  }
}
