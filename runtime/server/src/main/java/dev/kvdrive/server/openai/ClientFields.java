package dev.kvdrive.server.openai;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Fields that clients of OpenAI, vLLM, SGLang, llama.cpp and Ollama send and that this server has
 * no use for. A field is accepted in so far as leaving it out changes no answer: always (who asks,
 * how to cache), or for the values that ask for what happens anyway. Everything else is refused by
 * name, and so is a field of no list.
 */
final class ClientFields {
  private enum Type {
    ANY("anything") {
      @Override
      boolean matches(JsonNode value) {
        return true;
      }
    },
    BOOLEAN("a boolean") {
      @Override
      boolean matches(JsonNode value) {
        return value.isBoolean();
      }
    },
    INTEGER("an integer") {
      @Override
      boolean matches(JsonNode value) {
        return value.isNumber() && value.canConvertToExactIntegral();
      }
    },
    NUMBER("a number") {
      @Override
      boolean matches(JsonNode value) {
        return value.isNumber();
      }
    },
    STRING("a string") {
      @Override
      boolean matches(JsonNode value) {
        return value.isString();
      }
    },
    ARRAY("an array") {
      @Override
      boolean matches(JsonNode value) {
        return value.isArray();
      }
    },
    OBJECT("an object") {
      @Override
      boolean matches(JsonNode value) {
        return value.isObject();
      }
    };

    final String words;

    Type(String words) {
      this.words = words;
    }

    abstract boolean matches(JsonNode value);
  }

  /**
   * What may be sent.
   *
   * @param harmless values that change nothing
   * @param wayOut what to do about any other
   */
  private record Rule(Type type, Predicate<JsonNode> harmless, String wayOut) {}

  private static final Map<String, Rule> COMMON = new HashMap<>();
  private static final Map<String, Rule> CHAT = new HashMap<>();
  private static final Map<String, Rule> TEXT = new HashMap<>();
  private static final Map<String, Rule> TOKENIZE = new HashMap<>();

  static {
    // Who asks, what the request belongs to, and how to bill, cache or schedule it.
    ignored(COMMON, Type.STRING, "user", "service_tier", "safety_identifier", "cache_salt");
    ignored(COMMON, Type.STRING, "prompt_cache_key", "prompt_cache_retention");
    ignored(COMMON, Type.OBJECT, "metadata");
    ignored(COMMON, Type.BOOLEAN, "store", "cache_prompt");
    ignored(COMMON, Type.ANY, "request_id", "rid", "session_id", "chat_id", "conversation_id");
    ignored(COMMON, Type.ANY, "thread_id", "message_id", "trace_id", "user_id", "keep_alive");
    ignored(COMMON, Type.INTEGER, "id_slot", "n_keep", "n_discard", "n_cache_reuse");
    only(COMMON, 0, "priority");
    // How other servers sample, switched off.
    only(COMMON, 1, "length_penalty", "typical_p", "tfs_z", "repeat_penalty");
    only(COMMON, 0, "top_a", "dynatemp_range", "dry_multiplier", "xtc_probability", "mirostat");
    only(COMMON, 0, "min_keep", "n_probs", "n_indent");
    only(COMMON, -1, "top_n_sigma");
    ignored(COMMON, Type.NUMBER, "dynatemp_exponent", "dry_base", "xtc_threshold");
    ignored(COMMON, Type.NUMBER, "mirostat_tau", "mirostat_eta");
    ignored(COMMON, Type.INTEGER, "dry_allowed_length", "dry_penalty_last_n", "repeat_last_n");
    ignored(COMMON, Type.ARRAY, "dry_sequence_breakers");
    only(COMMON, false, "use_beam_search", "early_stopping");
    empty(COMMON, Type.OBJECT, "logit_bias", "vllm_xargs", "options");
    empty(COMMON, Type.ARRAY, "bad_words", "logits_processors", "lora");
    absent(COMMON, "allowed_token_ids", "samplers", "kv_transfer_params", "lora_path");
    // How other servers constrain answers.
    absent(COMMON, "guided_json", "guided_regex", "guided_choice", "guided_grammar");
    absent(COMMON, "structured_outputs", "structural_tag", "json_schema", "regex", "ebnf");
    ignored(COMMON, Type.STRING, "guided_decoding_backend", "guided_whitespace_pattern");
    rule(
        COMMON,
        Type.STRING,
        value -> value.stringValue().isEmpty(),
        "leave it out.",
        "grammar",
        "format");
    // The shape of the answer.
    only(COMMON, true, "skip_special_tokens");
    only(COMMON, false, "include_stop_str_in_output", "no_stop_trim", "return_hidden_states");
    only(COMMON, false, "return_tokens_as_token_ids", "return_token_ids", "return_tokens");
    only(COMMON, false, "timings_per_token", "return_progress", "post_sampling_probs");
    ignored(COMMON, Type.BOOLEAN, "spaces_between_special_tokens");
    absent(COMMON, "truncate_prompt_tokens", "prompt_logprobs");

    CHAT.putAll(COMMON);
    ignored(CHAT, Type.STRING, "reasoning_effort", "verbosity");
    ignored(CHAT, Type.OBJECT, "prediction");
    ignored(CHAT, Type.BOOLEAN, "parallel_tool_calls", "parse_tool_calls");
    only(CHAT, true, "include_reasoning", "stream_reasoning");
    only(CHAT, false, "echo", "add_special_tokens", "safe_prompt", "thinking_forced_open");
    only(CHAT, 1, "best_of");
    rule(
        CHAT,
        Type.STRING,
        value -> value.stringValue().equals("none"),
        "this server does not take the reasoning out of an answer; set it to \"none\".",
        "reasoning_format");
    empty(CHAT, Type.OBJECT, "mm_processor_kwargs", "media_io_kwargs");
    empty(CHAT, Type.ARRAY, "documents");
    rule(CHAT, Type.STRING, value -> false, "the server's template is used.", "chat_template");
    rule(CHAT, Type.ANY, value -> false, "there is no search.", "web_search_options");
    rule(CHAT, Type.ANY, value -> false, "text only.", "audio");
    rule(
        CHAT,
        Type.ARRAY,
        value -> value.size() == 1 && value.get(0).asString("").equals("text"),
        "only [\"text\"] is.",
        "modalities");
    rule(
        CHAT,
        Type.OBJECT,
        value -> value.path("type").asString("").equals("text"),
        "only {\"type\": \"text\"} is.",
        "response_format");

    TEXT.putAll(COMMON);
    absent(TEXT, "prompt_embeds", "response_format");

    empty(TOKENIZE, Type.ARRAY, "tools");
    empty(TOKENIZE, Type.OBJECT, "mm_processor_kwargs", "media_io_kwargs");
    rule(TOKENIZE, Type.STRING, value -> false, "the server's template is used.", "chat_template");
  }

  private ClientFields() {}

  private static void rule(
      Map<String, Rule> table,
      Type type,
      Predicate<JsonNode> harmless,
      String wayOut,
      String... names) {
    for (String name : names) {
      table.put(name, new Rule(type, harmless, wayOut));
    }
  }

  private static void ignored(Map<String, Rule> table, Type type, String... names) {
    rule(table, type, value -> true, "", names);
  }

  private static void only(Map<String, Rule> table, int number, String... names) {
    rule(
        table,
        Type.NUMBER,
        value -> value.doubleValue() == number,
        "leave it out or set it to " + number + ".",
        names);
  }

  private static void only(Map<String, Rule> table, boolean flag, String... names) {
    rule(
        table,
        Type.BOOLEAN,
        value -> value.booleanValue() == flag,
        "leave it out or set it to " + flag + ".",
        names);
  }

  private static void empty(Map<String, Rule> table, Type type, String... names) {
    rule(table, type, JsonNode::isEmpty, "leave it out or empty.", names);
  }

  private static void absent(Map<String, Rule> table, String... names) {
    rule(table, Type.ANY, value -> false, "leave it out.", names);
  }

  /** Fields of a chat request. */
  static void checkChat(Map<String, JsonNode> fields) {
    check(CHAT, fields);
  }

  /** Fields of a request with raw prompts. */
  static void checkText(Map<String, JsonNode> fields) {
    check(TEXT, fields);
  }

  /** Fields of a request for token ids. */
  static void checkTokenize(Map<String, JsonNode> fields) {
    check(TOKENIZE, fields);
  }

  private static void check(Map<String, Rule> table, Map<String, JsonNode> fields) {
    fields.forEach(
        (name, value) -> {
          Rule rule = table.get(name);
          if (rule == null) {
            throw ApiException.unknownField(name);
          }
          if (value.isNull()) {
            return;
          }
          if (!rule.type().matches(value)) {
            throw FieldCheck.type(name, rule.type().words, value);
          }
          if (!rule.harmless().test(value)) {
            throw FieldCheck.refused(name, rule.wayOut());
          }
        });
  }

  /**
   * Refuses tools unless there are none, or the request itself forbids to call them.
   *
   * @param list name of the field with the tools
   * @param choice name of the field that says which is to be called
   */
  static void checkTools(
      String list, @Nullable JsonNode tools, String choice, @Nullable JsonNode chosen) {
    boolean forbidden = false;
    if (chosen != null && !chosen.isNull()) {
      if (!chosen.isString() && !chosen.isObject()) {
        throw FieldCheck.type(choice, "a string or an object", chosen);
      }
      String word = chosen.asString("");
      forbidden = word.equals("none");
      if (!forbidden && !word.equals("auto")) {
        throw FieldCheck.refused(choice, "this server does not call tools.");
      }
    }
    if (tools == null || tools.isNull()) {
      return;
    }
    if (!tools.isArray()) {
      throw FieldCheck.type(list, "an array", tools);
    }
    for (int i = 0; i < tools.size(); i++) {
      if (!tools.get(i).isObject()) {
        throw FieldCheck.type(list + "[" + i + "]", "an object", tools.get(i));
      }
    }
    if (!tools.isEmpty() && !forbidden) {
      throw FieldCheck.refused(
          list,
          "this server does not call tools; leave it out, or set '%s' to \"none\"."
              .formatted(choice));
    }
  }
}
