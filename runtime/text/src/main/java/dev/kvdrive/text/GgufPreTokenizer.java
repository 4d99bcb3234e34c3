package dev.kvdrive.text;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a name of {@code tokenizer.ggml.pre} stands for. That is not in the file; names and defaults
 * are those that llama.cpp knows, for models of the architectures that are read here. The patterns
 * are written as the models' own {@code tokenizer.json} has them.
 *
 * @param patterns what cuts the text, one after the other
 * @param ignoresMerges words of the vocabulary become one token whatever the merges say
 * @param bos whether a prompt begins with the token of that name where the file does not say so
 * @param composed whether characters are composed first; llama.cpp leaves that out, the models' own
 *     tokenizers have it
 */
record GgufPreTokenizer(
    List<String> patterns, boolean ignoresMerges, boolean bos, boolean composed) {

  private static final String GPT2 =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  private static final String CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  private static final String LLAMA3 =
      CONTRACTIONS
          + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
          + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String QWEN2 =
      CONTRACTIONS
          + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
          + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String SEED_CODER =
      CONTRACTIONS
          + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+"
          + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
  private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
  private static final String TEKKEN =
      "[^\\r\\n\\p{L}\\p{N}]?"
          + (UPPER + "*" + LOWER + "+")
          + "|[^\\r\\n\\p{L}\\p{N}]?"
          + (UPPER + "+" + LOWER + "*")
          + "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String GPT4O =
      "[^\\r\\n\\p{L}\\p{N}]?"
          + (UPPER + "*" + LOWER + "+" + CONTRACTIONS + "?")
          + "|[^\\r\\n\\p{L}\\p{N}]?"
          + (UPPER + "+" + LOWER + "*" + CONTRACTIONS + "?")
          + "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  /** Cased letters of the Unicode version that DeepSeek LLM was trained with. */
  private static final String DEEPSEEK_LETTERS =
      "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
          + "Ḁ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\\u1F7Dᾀ-ᾴᾶ-ᾼ\\u1FBEῂ-ῄῆ-ῌῐ-\\u1FD3ῖ-\\u1FDBῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\\u2126ℨ"
          + "\\u212A-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
          + "\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}"
          + "\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}]+";

  private static final String IDEOGRAPHS = "[\\u4E00-\\u9FA5\\u0800-\\u4E00\\uAC00-\\uD7FF]+";
  private static final String DEEPSEEK_V3 =
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
          + "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*"
          + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String WORDS = " ?[^(\\s|.,!?…。，、।۔،)]+";

  private static final Map<String, GgufPreTokenizer> NAMED = named();

  private static Map<String, GgufPreTokenizer> named() {
    Map<String, GgufPreTokenizer> all = new HashMap<>();
    put(
        all,
        of(GPT2),
        "gpt-2",
        "phi-2",
        "mpt",
        "olmo",
        "jais",
        "trillion",
        "exaone4",
        "gigachat",
        "a.x-4.0",
        "mellum",
        "granite-docling");
    put(
        all,
        of("\\p{N}", GPT2),
        "smollm",
        "starcoder",
        "refact",
        "command-r",
        "codeshell",
        "exaone",
        "minerva-7b",
        "mellum2");
    GgufPreTokenizer llama3 = new GgufPreTokenizer(List.of(LLAMA3), true, true, false);
    put(
        all,
        llama3,
        "llama3",
        "llama-v3",
        "llama-bpe",
        "falcon3",
        "falcon-h1",
        "pixtral",
        "midm-2.0",
        "lfm2");
    put(all, of(LLAMA3), "dbrx", "smaug-bpe", "glm4", "chatglm-bpe");
    GgufPreTokenizer qwen2 = new GgufPreTokenizer(List.of(QWEN2), false, false, true);
    put(all, qwen2, "qwen2", "deepseek-r1-qwen", "megrez", "kormo");
    put(all, of(QWEN2), "stablelm2", "hunyuan", "solar-open", "grok-2");
    put(all, new GgufPreTokenizer(List.of(TEKKEN), true, true, false), "tekken");
    put(all, of(GPT4O), "gpt-4o", "llama4", "kanana2");
    put(
        all,
        of(
            "[\\r\\n]",
            DEEPSEEK_LETTERS,
            "\\s?[!-/:-~！-／：-～‘-‟\\u3000-。]+",
            "\\s+$",
            IDEOGRAPHS,
            "\\p{N}+"),
        "deepseek-llm");
    put(all, of("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", IDEOGRAPHS, "\\p{N}"), "deepseek-coder");
    put(
        all,
        of("\\p{N}{1,3}", "[一-龥\\u3040-ゟ゠-ヿ]+", DEEPSEEK_V3),
        "deepseek-v3",
        "hunyuan-dense",
        "joyai-llm");
    put(all, of(SEED_CODER), "seed-coder");
    put(all, of("\\p{N}+", "(?=(\\d{3})+(?!\\d))"), "superbpe");
    put(all, of(WORDS), "poro-chat", "bloom", "gpt3-finnish");
    put(all, of(WORDS, "\\p{N}"), "viking");
    put(all, of("[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"), "falcon");
    put(all, of("[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"), "default");
    return Map.copyOf(all);
  }

  private static GgufPreTokenizer of(String... patterns) {
    return new GgufPreTokenizer(List.of(patterns), false, false, false);
  }

  private static void put(
      Map<String, GgufPreTokenizer> all, GgufPreTokenizer pre, String... names) {
    for (String name : names) {
      all.put(name, pre);
    }
  }

  /**
   * @throws TokenizerException for a name that is not known
   */
  static GgufPreTokenizer named(String name) {
    @Nullable GgufPreTokenizer known = NAMED.get(name);
    if (known == null) {
      throw new TokenizerException(
          "tokenizer.ggml.pre '%s' is not supported; supported are %s"
              .formatted(name, NAMED.keySet().stream().sorted().toList()));
    }
    return known;
  }
}
