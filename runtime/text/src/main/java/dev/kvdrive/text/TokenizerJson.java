package dev.kvdrive.text;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
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
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Reads a tokenizer from a Hugging Face folder. Supported are the parts that models with a BPE or
 * unigram vocabulary use; any other part is an error that names it, never a guess.
 */
final class TokenizerJson {

  /** The longest texts are chat templates. */
  private static final int MAX_STRING_CHARS = 8 << 20;

  private static final JsonMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxTokenCount(Limits.values())
                          .maxStringLength(MAX_STRING_CHARS)
                          .build())
                  .build())
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .build();

  private static final String GPT2 =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

  private final Path dir;
  private final JsonNode root;
  private final Map<String, Integer> ids = new HashMap<>();
  private final Map<Integer, String> names = new HashMap<>();
  private final List<AddedTokens.Added> added = new ArrayList<>();
  private final List<AddedTokens.Added> addedNormalized = new ArrayList<>();
  private final List<TextNormalizer> normalizers = new ArrayList<>();
  private boolean byteLevel;

  private TokenizerJson(Path dir, JsonNode root) {
    this.dir = dir;
    this.root = root;
  }

  static Tokenizer read(Path dir) {
    Path file = dir.resolve("tokenizer.json");
    JsonNode root = json(file);
    if (root == null) {
      throw new TokenizerException(
          "there is no tokenizer.json in " + dir + "; the model folder must hold one");
    }
    return new TokenizerJson(dir, root).build();
  }

  /** The content of a JSON file, null when there is no such file. */
  static @Nullable JsonNode json(Path file) {
    try {
      if (!Files.exists(file)) {
        return null;
      }
      if (!Files.isRegularFile(file)) {
        throw new TokenizerException(file + " is not a regular file");
      }
      long size = Files.size(file);
      if (size > Limits.FILE_BYTES) {
        throw new TokenizerException(
            file + " has " + size + " bytes, more than the limit of " + Limits.FILE_BYTES);
      }
      JsonNode root;
      try (InputStream in = Files.newInputStream(file)) {
        root = JSON.readTree(in);
      }
      if (root == null || !root.isObject()) {
        throw new TokenizerException(file + " is not a JSON object");
      }
      return root;
    } catch (IOException e) {
      throw new TokenizerException("cannot read " + file + ": " + e.getMessage(), e);
    } catch (StreamConstraintsException e) {
      throw new TokenizerException(
          "%s is too large or nests too deeply: more than %,d values, %,d characters in one of them or 500 levels"
              .formatted(file, Limits.values(), MAX_STRING_CHARS),
          e);
    } catch (JacksonException e) {
      throw new TokenizerException(
          file + " is not valid JSON: " + e.getOriginalMessage() + at(e), e);
    }
  }

  private static String at(JacksonException e) {
    return e.getLocation() == null
        ? ""
        : " (line "
            + e.getLocation().getLineNr()
            + ", column "
            + e.getLocation().getColumnNr()
            + ")";
  }

  private Tokenizer build() {
    JsonNode model = root.path("model");
    String type = model.path("type").asString("");
    if (type.isEmpty() && model.has("merges")) {
      type = "BPE";
    }
    List<PreTokenizer> stages = new ArrayList<>();
    addPreTokenizer(root.path("pre_tokenizer"), stages);
    addNormalizer(root.path("normalizer"));
    Limits.check(
        "normalizers and pre-tokenizers", normalizers.size() + stages.size(), Limits.STAGES);
    double[] scores = new double[0];
    switch (type) {
      case "BPE" -> readVocabulary(model.path("vocab"));
      case "Unigram" -> scores = readScores(model.path("vocab"));
      default -> throw unsupported("model", type, "BPE and Unigram");
    }
    Set<Integer> special = new HashSet<>();
    readAdded(special);
    int size = ids.values().stream().mapToInt(id -> id + 1).max().orElse(0);
    Limits.checkDense(size, ids.size());
    String[] pieces = new String[size];
    Arrays.fill(pieces, "");
    ids.forEach((piece, id) -> pieces[id] = piece);
    WordModel words =
        type.equals("BPE") ? bytePairs(model, special) : unigram(model, scores, special);
    Decoding decoding = new Decoding();
    readDecoder(root.path("decoder"), decoding);
    boolean[] isSpecial = new boolean[size];
    special.forEach(id -> isSpecial[id] = true);
    Set<Integer> literal = new HashSet<>();
    added.forEach(token -> literal.add(token.id()));
    addedNormalized.forEach(token -> literal.add(token.id()));
    byte[][] written = new byte[size][];
    for (int id = 0; id < size; id++) {
      written[id] =
          literal.contains(id)
              ? pieces[id].getBytes(StandardCharsets.UTF_8)
              : decoding.bytes(pieces[id]);
    }
    return new PipelineTokenizer(
        new PipelineTokenizer.Parts(
            new Vocabulary(pieces, written, isSpecial),
            new AddedTokens(added),
            new AddedTokens(addedNormalized),
            List.copyOf(normalizers),
            List.copyOf(stages),
            words,
            decoding.stripsLeadingSpace,
            specialTokens(pieces, isSpecial)));
  }

  // Vocabulary

  private void readVocabulary(JsonNode vocabulary) {
    if (!vocabulary.isObject() || vocabulary.isEmpty()) {
      throw new TokenizerException("tokenizer.json has no model.vocab");
    }
    Limits.check("a vocabulary", vocabulary.size(), Limits.TOKENS);
    vocabulary
        .properties()
        .forEach(
            entry -> {
              put(entry.getKey(), id(entry.getValue(), "model.vocab['" + entry.getKey() + "']"));
            });
  }

  private double[] readScores(JsonNode vocabulary) {
    if (!vocabulary.isArray() || vocabulary.isEmpty()) {
      throw new TokenizerException("tokenizer.json has no model.vocab");
    }
    Limits.check("a vocabulary", vocabulary.size(), Limits.TOKENS);
    double[] scores = new double[vocabulary.size()];
    for (int id = 0; id < scores.length; id++) {
      JsonNode entry = vocabulary.get(id);
      if (!entry.path(0).isString() || !entry.path(1).isNumber()) {
        throw new TokenizerException(
            "model.vocab[" + id + "] is " + entry + ", not [piece, score]");
      }
      put(entry.path(0).asString(), id);
      scores[id] = entry.path(1).asDouble();
    }
    return scores;
  }

  private void put(String piece, int id) {
    Limits.check("a token", piece.length(), Limits.PIECE_CHARS);
    Integer before = ids.put(piece, id);
    if (before != null && before != id) {
      throw new TokenizerException(
          "the vocabulary holds '" + piece + "' twice, as " + before + " and " + id);
    }
    String other = names.put(id, piece);
    if (other != null && !other.equals(piece)) {
      throw new TokenizerException(
          "the vocabulary gives the id %d twice, to '%s' and to '%s'".formatted(id, other, piece));
    }
  }

  private static int id(JsonNode node, String where) {
    if (!node.isIntegralNumber() || node.asLong(-1) < 0 || node.asLong(-1) >= Limits.TOKENS) {
      throw new TokenizerException(where + " is " + node + ", not a token id");
    }
    return node.asInt();
  }

  private void readAdded(Set<Integer> special) {
    Set<Integer> known = new HashSet<>();
    for (JsonNode token : root.path("added_tokens")) {
      String content = token.path("content").asString("");
      int id = id(token.path("id"), "added_tokens: the id of '" + content + "'");
      if (content.isEmpty()) {
        throw new TokenizerException("added_tokens: the token " + id + " has no content");
      }
      known.add(id);
      addToken(id, content, token, special);
    }
    readAddedTokensDecoder(known, special);
  }

  /** Tokens that only {@code tokenizer_config.json} has; some models are published so. */
  private void readAddedTokensDecoder(Set<Integer> known, Set<Integer> special) {
    JsonNode config = json(dir.resolve("tokenizer_config.json"));
    if (config == null) {
      return;
    }
    String where = "tokenizer_config.json: added_tokens_decoder";
    for (Map.Entry<String, JsonNode> entry : config.path("added_tokens_decoder").properties()) {
      String content = entry.getValue().path("content").asString("");
      int id;
      try {
        id = Integer.parseInt(entry.getKey());
      } catch (NumberFormatException e) {
        id = -1;
      }
      if (id < 0 || id >= Limits.TOKENS || content.isEmpty()) {
        throw new TokenizerException(
            "%s gives '%s' the id '%s'; it must give a text and a token id"
                .formatted(where, content, entry.getKey()));
      }
      String other = names.get(id);
      if (other != null && !other.equals(content)) {
        throw new TokenizerException(
            "%s calls token %d '%s', tokenizer.json calls it '%s'; one of the files belongs to another model"
                .formatted(where, id, content, other));
      }
      if (!known.contains(id)) {
        addToken(id, content, entry.getValue(), special);
      }
    }
  }

  private void addToken(int id, String content, JsonNode token, Set<Integer> special) {
    put(content, id);
    boolean isSpecial = flag(token, "special", false);
    if (isSpecial) {
      special.add(id);
    }
    AddedTokens.Added one =
        new AddedTokens.Added(
            id,
            content,
            isSpecial,
            flag(token, "single_word", false),
            flag(token, "lstrip", false),
            flag(token, "rstrip", false));
    // Special tokens are looked for in the text as it is, also where an old file says that they
    // are normalised: what follows normalisation could not be told apart from a user's text.
    if (isSpecial || !flag(token, "normalized", true)) {
      added.add(one);
    } else {
      addedNormalized.add(one);
    }
  }

  // Word models

  private WordModel bytePairs(JsonNode model, Set<Integer> special) {
    if (model.path("dropout").asDouble(0) > 0) {
      throw unsupported("model.dropout", model.path("dropout").toString(), "none");
    }
    for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
      if (!model.path(affix).asString("").isEmpty()) {
        throw unsupported("model." + affix, model.path(affix).asString(), "none");
      }
    }
    JsonNode lines = model.path("merges");
    if (!lines.isArray()) {
      throw new TokenizerException("tokenizer.json has no model.merges");
    }
    Limits.check("merges", lines.size(), Limits.MERGES);
    PairTable merges = new PairTable();
    for (int rank = 0; rank < lines.size(); rank++) {
      JsonNode line = lines.get(rank);
      String left = line.path(0).asString("");
      String right = line.path(1).asString("");
      if (line.isString()) {
        int space = line.asString().indexOf(' ', 1);
        left = space < 0 ? "" : line.asString().substring(0, space);
        right = space < 0 ? "" : line.asString().substring(space + 1);
      }
      if (left.isEmpty() || right.isEmpty()) {
        throw new TokenizerException("model.merges[" + rank + "] is " + line + ", not two pieces");
      }
      Merges.add(merges, ids, left, right, rank);
    }
    Map<String, Integer> words = new HashMap<>();
    Map<Integer, Integer> characters = new HashMap<>();
    boolean ignoreMerges = flag(model, "ignore_merges", false);
    ids.forEach(
        (piece, id) -> {
          if (special.contains(id)) {
            return;
          }
          if (ignoreMerges) {
            byte[] bytes =
                byteLevel ? ByteAlphabet.bytes(piece) : piece.getBytes(StandardCharsets.UTF_8);
            Merges.addWord(words, bytes, id);
          }
          if (piece.codePointCount(0, piece.length()) == 1) {
            characters.put(piece.codePointAt(0), id);
          }
        });
    int unknown = ids.getOrDefault(model.path("unk_token").asString(""), -1);
    int @Nullable [] byteIds = flag(model, "byte_fallback", false) ? byteIds() : null;
    return new BytePairModel(
        byteLevel ? Merges.byteSymbols(ids) : null,
        Map.copyOf(characters),
        merges,
        Map.copyOf(words),
        new BytePairModel.Fallback(byteIds, unknown, flag(model, "fuse_unk", false)));
  }

  private WordModel unigram(JsonNode model, double[] scores, Set<Integer> special) {
    JsonNode unknown = model.path("unk_id");
    int unknownId = unknown.isNumber() ? id(unknown, "model.unk_id") : -1;
    @Nullable String[] pieces = new @Nullable String[scores.length];
    int[] byteIds = flag(model, "byte_fallback", false) ? byteIds() : null;
    boolean allBytes = byteIds != null && Arrays.stream(byteIds).allMatch(id -> id >= 0);
    ids.forEach(
        (piece, id) -> {
          boolean plain = id < pieces.length && id != unknownId && !special.contains(id);
          if (plain && !(byteIds != null && Merges.byteValue(piece) >= 0)) {
            pieces[id] = piece;
          }
        });
    return new UnigramModel(pieces, scores, unknownId, allBytes ? byteIds : null);
  }

  private int[] byteIds() {
    int[] byteIds = new int[256];
    for (int b = 0; b < 256; b++) {
      byteIds[b] = ids.getOrDefault(String.format(Locale.ROOT, "<0x%02X>", b), -1);
    }
    return byteIds;
  }

  // Normalizers and pre-tokenizers

  private void addNormalizer(JsonNode node) {
    if (node.isMissingNode() || node.isNull()) {
      return;
    }
    String type = node.path("type").asString("");
    switch (type) {
      case "Sequence" -> node.path("normalizers").forEach(this::addNormalizer);
      case "NFC", "NFD", "NFKC", "NFKD" ->
          normalizers.add(TextNormalizer.unicode(Normalizer.Form.valueOf(type)));
      case "Prepend" -> normalizers.add(TextNormalizer.prepend(written(node, "prepend")));
      case "Strip" ->
          normalizers.add(
              TextNormalizer.strip(
                  flag(node, "strip_left", true), flag(node, "strip_right", true)));
      case "Lowercase" -> normalizers.add((text, work) -> text.toLowerCase(Locale.ROOT));
      case "Replace" ->
          normalizers.add(TextNormalizer.replace(pattern(node), written(node, "content")));
      default ->
          throw unsupported(
              "normalizer", type, "NFC, NFD, NFKC, NFKD, Prepend, Strip, Lowercase, Replace");
    }
  }

  /** What a stage writes into the text. */
  private static String written(JsonNode node, String field) {
    String text = node.path(field).asString("");
    Limits.check("a " + field + " of a normalizer", text.length(), Limits.PIECE_CHARS);
    return text;
  }

  /** What a stage looks for: {@code {"String": ...}} or {@code {"Regex": ...}}. */
  private static Pattern pattern(JsonNode node) {
    JsonNode literal = node.path("pattern").path("String");
    String text =
        literal.isString() ? literal.asString() : node.path("pattern").path("Regex").asString("");
    if (text.isEmpty()) {
      throw unsupported("pattern", node.path("pattern").toString(), "a String or Regex with text");
    }
    Limits.check("a pattern", text.length(), Limits.PATTERN_CHARS);
    return literal.isString() ? Pattern.compile(text, Pattern.LITERAL) : PreTokenizer.pattern(text);
  }

  private void addPreTokenizer(JsonNode node, List<PreTokenizer> stages) {
    if (node.isMissingNode() || node.isNull()) {
      return;
    }
    String type = node.path("type").asString("");
    switch (type) {
      case "Sequence" -> node.path("pretokenizers").forEach(part -> addPreTokenizer(part, stages));
      case "ByteLevel" -> {
        byteLevel = true;
        if (flag(node, "add_prefix_space", true)) {
          stages.add(new PreTokenizer.PrefixSpace());
        }
        if (flag(node, "use_regex", true)) {
          stages.add(
              new PreTokenizer.Split(
                  PreTokenizer.pattern(GPT2), PreTokenizer.Behavior.ISOLATED, false));
        }
      }
      case "Digits" -> stages.add(new PreTokenizer.Digits(flag(node, "individual_digits", false)));
      case "Split" -> {
        stages.add(
            new PreTokenizer.Split(
                pattern(node),
                behavior(node.path("behavior").asString("")),
                flag(node, "invert", false)));
      }
      case "Metaspace" -> {
        String mark = node.path("replacement").asString("▁");
        String scheme =
            node.path("prepend_scheme")
                .asString(flag(node, "add_prefix_space", true) ? "always" : "never");
        PreTokenizer.Prepend prepend =
            switch (scheme) {
              case "always" -> PreTokenizer.Prepend.ALWAYS;
              case "first" -> PreTokenizer.Prepend.FIRST;
              case "never" -> PreTokenizer.Prepend.NEVER;
              default -> throw unsupported("prepend_scheme", scheme, "always, first and never");
            };
        if (mark.length() != 1) {
          throw unsupported("replacement", mark, "one character");
        }
        stages.add(new PreTokenizer.Metaspace(mark.charAt(0), prepend, flag(node, "split", true)));
      }
      default ->
          throw unsupported(
              "pre_tokenizer", type, "Sequence, ByteLevel, Digits, Split and Metaspace");
    }
  }

  private static PreTokenizer.Behavior behavior(String name) {
    return switch (name) {
      case "Isolated" -> PreTokenizer.Behavior.ISOLATED;
      case "Removed" -> PreTokenizer.Behavior.REMOVED;
      case "MergedWithPrevious" -> PreTokenizer.Behavior.MERGED_WITH_PREVIOUS;
      case "MergedWithNext" -> PreTokenizer.Behavior.MERGED_WITH_NEXT;
      case "Contiguous" -> PreTokenizer.Behavior.CONTIGUOUS;
      default ->
          throw unsupported(
              "behavior",
              name,
              "Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
    };
  }

  // Decoder

  private static final class Decoding {
    private boolean byteLevel;
    private boolean byteFallback;
    private boolean stripsLeadingSpace;
    private final Map<String, String> replacements = new HashMap<>();

    byte[] bytes(String piece) {
      if (byteLevel) {
        return ByteAlphabet.bytes(piece);
      }
      int value = byteFallback ? Merges.byteValue(piece) : -1;
      if (value >= 0) {
        return new byte[] {(byte) value};
      }
      String text = piece;
      for (Map.Entry<String, String> replacement : replacements.entrySet()) {
        text = text.replace(replacement.getKey(), replacement.getValue());
      }
      return text.getBytes(StandardCharsets.UTF_8);
    }
  }

  private void readDecoder(JsonNode node, Decoding decoding) {
    if (node.isMissingNode() || node.isNull()) {
      decoding.byteLevel = byteLevel;
      return;
    }
    String type = node.path("type").asString("");
    switch (type) {
      case "Sequence" -> node.path("decoders").forEach(part -> readDecoder(part, decoding));
      case "ByteLevel" -> decoding.byteLevel = true;
      case "ByteFallback" -> decoding.byteFallback = true;
      case "Fuse" -> {}
      case "Replace" -> {
        JsonNode literal = node.path("pattern").path("String");
        if (!literal.isString() || literal.asString().isEmpty()) {
          throw unsupported("decoder Replace", node.path("pattern").toString(), "a String pattern");
        }
        decoding.replacements.put(literal.asString(), node.path("content").asString(""));
      }
      case "Strip" -> {
        boolean oneSpaceInFront =
            node.path("content").asString("").equals(" ")
                && node.path("start").asInt(0) == 1
                && node.path("stop").asInt(0) == 0;
        if (!oneSpaceInFront) {
          throw unsupported("decoder Strip", node.toString(), "one space at the start");
        }
        decoding.stripsLeadingSpace = true;
      }
      case "Metaspace" -> {
        decoding.replacements.put(node.path("replacement").asString("▁"), " ");
        String scheme =
            node.path("prepend_scheme")
                .asString(flag(node, "add_prefix_space", true) ? "always" : "never");
        decoding.stripsLeadingSpace = !scheme.equals("never");
      }
      default ->
          throw unsupported(
              "decoder", type, "ByteLevel, ByteFallback, Fuse, Replace, Strip and Metaspace");
    }
  }

  // Special tokens

  private SpecialTokens specialTokens(String[] pieces, boolean[] isSpecial) {
    JsonNode config = json(dir.resolve("tokenizer_config.json"));
    OptionalInt bos = OptionalInt.empty();
    OptionalInt eos = OptionalInt.empty();
    boolean addBos = false;
    boolean addEos = false;
    if (config != null) {
      bos = named(config.path("bos_token"));
      eos = named(config.path("eos_token"));
      addBos = flag(config, "add_bos_token", false) && bos.isPresent();
      addEos = flag(config, "add_eos_token", false) && eos.isPresent();
    }
    Set<Integer> ends = new HashSet<>();
    for (String file : List.of("generation_config.json", "config.json")) {
      JsonNode generation = json(dir.resolve(file));
      if (generation == null) {
        continue;
      }
      JsonNode ids = generation.path("eos_token_id");
      for (JsonNode id : ids.isArray() ? ids : List.of(ids)) {
        if (id.isIntegralNumber() && id.asInt(-1) >= 0 && id.asInt(-1) < pieces.length) {
          ends.add(id.asInt());
          eos = eos.isPresent() ? eos : OptionalInt.of(id.asInt());
        }
      }
      JsonNode id = generation.path("bos_token_id");
      if (bos.isEmpty() && id.isIntegralNumber() && id.asInt(-1) >= 0) {
        bos = id.asInt() < pieces.length ? OptionalInt.of(id.asInt()) : bos;
      }
    }
    eos.ifPresent(ends::add);
    for (int id = 0; id < pieces.length; id++) {
      if (isSpecial[id] && EndOfGeneration.isNamed(pieces[id])) {
        ends.add(id);
      }
    }
    JsonNode frame = template(root.path("post_processor"));
    if (frame != null) {
      OptionalInt head = OptionalInt.empty();
      OptionalInt tail = OptionalInt.empty();
      boolean before = true;
      for (JsonNode part : frame.path("single")) {
        if (part.has("Sequence")) {
          before = false;
          continue;
        }
        String name = part.path("SpecialToken").path("id").asString("");
        OptionalInt id = OptionalInt.of(ids.getOrDefault(name, -1));
        if (id.getAsInt() < 0 || (before ? head : tail).isPresent()) {
          throw unsupported("post_processor", part.toString(), "one known token on either side");
        }
        if (before) {
          head = id;
        } else {
          tail = id;
        }
      }
      addBos = head.isPresent();
      addEos = tail.isPresent();
      bos = head.isPresent() ? head : bos;
      eos = tail.isPresent() ? tail : eos;
    }
    return new SpecialTokens(bos, eos, ends, addBos, addEos);
  }

  private OptionalInt named(JsonNode token) {
    String text = token.isString() ? token.asString() : token.path("content").asString("");
    Integer id = ids.get(text);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  private static @Nullable JsonNode template(JsonNode postProcessor) {
    if (postProcessor.isMissingNode() || postProcessor.isNull()) {
      return null;
    }
    String type = postProcessor.path("type").asString("");
    return switch (type) {
      case "TemplateProcessing" -> postProcessor;
      case "ByteLevel" -> null;
      case "Sequence" -> {
        JsonNode found = null;
        for (JsonNode part : postProcessor.path("processors")) {
          JsonNode one = template(part);
          found = one == null ? found : one;
        }
        yield found;
      }
      default ->
          throw unsupported("post_processor", type, "TemplateProcessing, ByteLevel and Sequence");
    };
  }

  private static boolean flag(JsonNode node, String name, boolean absent) {
    return node.path(name).isBoolean() ? node.path(name).asBoolean() : absent;
  }

  private static TokenizerException unsupported(String what, String value, String supported) {
    return new TokenizerException(
        "tokenizer.json: " + what + " '" + value + "' is not supported; supported: " + supported);
  }
}
