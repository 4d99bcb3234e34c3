package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.text.ChatMessage;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.ChatTemplateException;
import dev.kvdrive.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Turns completion requests into generations: checks every field, renders the template, tokenises,
 * and checks the lengths. Takes time in proportion to the prompt; not for the event loop.
 */
public final class CompletionReader {
  private static final int COMPLETION_DEFAULT_TOKENS = 16;
  private static final Set<String> ROLES =
      Set.of("system", "developer", "user", "assistant", "tool");

  private final String servedName;
  private final Tokenizer tokenizer;
  private final Optional<ChatTemplate> template;
  private final int contextLength;
  private final RequestLimits limits;
  private final OptionsReader options;

  public CompletionReader(
      String servedName,
      Tokenizer tokenizer,
      Optional<ChatTemplate> template,
      int contextLength,
      RequestLimits limits) {
    this.servedName = servedName;
    this.tokenizer = tokenizer;
    this.template = template;
    this.contextLength = contextLength;
    this.limits = limits;
    this.options = new OptionsReader(limits, tokenizer.vocabularySize());
  }

  /**
   * Reads a chat request.
   *
   * @param id of the request; choices append their number
   * @throws ApiException if it cannot be served
   */
  public PreparedCompletion read(String id, ChatCompletionRequest request) {
    checkModel(request.model());
    FieldCheck.unsupported(
        "tools", request.tools(), "this server does not call tools; put them into the prompt.");
    FieldCheck.unsupported("functions", request.functions(), "use plain messages.");
    FieldCheck.unsupported("audio", request.audio(), "text only.");
    FieldCheck.unsupported("web_search_options", request.webSearchOptions(), "there is no search.");
    checkToolChoice("tool_choice", request.toolChoice());
    checkToolChoice("function_call", request.functionCall());
    checkResponseFormat(request.responseFormat());
    checkModalities(request.modalities());
    GenerationOptions wanted = options.read(request);
    boolean logprobs = Boolean.TRUE.equals(request.logprobs());
    int top = FieldCheck.integer("top_logprobs", request.topLogprobs(), 0, limits.topLogprobs(), 0);
    if (top > 0 && !logprobs) {
      throw ApiException.invalid(
          "top_logprobs", "invalid_value", "'top_logprobs' needs 'logprobs' to be true.");
    }
    String maxName = request.maxCompletionTokens() != null ? "max_completion_tokens" : "max_tokens";
    Long max =
        request.maxCompletionTokens() != null ? request.maxCompletionTokens() : request.maxTokens();
    List<Integer> prompt = prompt(request.messages(), extra(request.chatTemplateKwargs()), true);
    return prepare(
        id,
        "messages",
        List.of(prompt),
        List.of(""),
        maxName,
        max,
        Integer.MAX_VALUE,
        wanted,
        logprobs ? top : -1,
        false);
  }

  /**
   * Reads a request for the continuation of raw prompts.
   *
   * @throws ApiException if it cannot be served
   */
  public PreparedCompletion read(String id, CompletionRequest request) {
    checkModel(request.model());
    if (request.suffix() != null && !request.suffix().isEmpty()) {
      throw FieldCheck.refused("suffix", "the model continues text, it does not insert.");
    }
    GenerationOptions wanted = options.read(request);
    int bestOf = FieldCheck.integer("best_of", request.bestOf(), 1, limits.choices(), wanted.n());
    if (bestOf != wanted.n()) {
      throw FieldCheck.refused("best_of", "leave it out or set it to 'n'.");
    }
    int top = FieldCheck.integer("logprobs", request.logprobs(), 0, limits.topLogprobs(), -1);
    boolean echo = Boolean.TRUE.equals(request.echo());
    if (echo && top >= 0) {
      throw FieldCheck.refused(
          "logprobs", "log-probabilities of an echoed prompt are not computed.");
    }
    List<List<Integer>> prompts = new ArrayList<>();
    List<String> texts = new ArrayList<>();
    prompts(request.prompt(), echo, prompts, texts);
    if (prompts.size() * wanted.n() > limits.choices()) {
      throw ApiException.invalid(
          "prompt",
          "array_above_max_length",
          "Invalid 'prompt': %d prompts with n = %d are %d generations; the limit is %d."
              .formatted(
                  prompts.size(), wanted.n(), prompts.size() * wanted.n(), limits.choices()));
    }
    return prepare(
        id,
        "prompt",
        prompts,
        texts,
        "max_tokens",
        request.maxTokens(),
        COMPLETION_DEFAULT_TOKENS,
        wanted,
        top,
        true);
  }

  /**
   * The token ids of a conversation, as a chat request would send them to the engine.
   *
   * @throws ApiException if there is no template, or messages or template are at fault
   */
  public List<Integer> prompt(
      @Nullable List<ChatCompletionRequest.@Nullable Message> messages,
      Map<String, @Nullable Object> extra,
      boolean addGenerationPrompt) {
    ChatTemplate chat =
        template.orElseThrow(
            () ->
                ApiException.invalid(
                    "messages",
                    "no_chat_template",
                    "The model has no chat template; use /v1/completions with a raw prompt."));
    if (messages == null || messages.isEmpty()) {
      throw ApiException.invalid(
          "messages", "missing_required_parameter", "'messages' must have at least one message.");
    }
    FieldCheck.atMost("messages", messages.size(), limits.messages());
    List<ChatMessage> conversation = new ArrayList<>(messages.size());
    for (int i = 0; i < messages.size(); i++) {
      conversation.add(message("messages[" + i + "]", messages.get(i)));
    }
    try {
      return Arrays.stream(tokenizer.encode(chat.prompt(conversation, extra, addGenerationPrompt)))
          .boxed()
          .toList();
    } catch (ChatTemplateException e) {
      if (e.reason() == ChatTemplateException.Cause.REFUSED) {
        throw ApiException.invalid(
            "messages",
            "refused_by_chat_template",
            "The model's chat template refuses the messages: " + e.getMessage());
      }
      throw ApiException.internal("The model's chat template failed: " + e.getMessage());
    }
  }

  /**
   * The token ids of a raw prompt.
   *
   * @param special whether the tokens are added that the model wants around a prompt
   */
  public List<Integer> prompt(String text, boolean special) {
    int[] ids = special ? tokenizer.encodePrompt(text) : tokenizer.encode(text, false);
    return Arrays.stream(ids).boxed().toList();
  }

  /** An array of token ids of the vocabulary. */
  public List<Integer> tokens(String name, @Nullable JsonNode array) {
    if (array == null || array.isNull()) {
      throw ApiException.invalid(
          name, "missing_required_parameter", "Missing required parameter: '%s'.".formatted(name));
    }
    return FieldCheck.tokens(name, array, Integer.MAX_VALUE, tokenizer.vocabularySize());
  }

  /** Refuses a model other than the served one; no model means the served one. */
  public void checkModel(@Nullable String model) {
    if (model != null && !model.equals(servedName)) {
      throw ApiException.unknownModel(model, servedName);
    }
  }

  /** Variables for the template. */
  public static Map<String, @Nullable Object> extra(@Nullable JsonNode kwargs) {
    if (kwargs == null || kwargs.isNull()) {
      return Map.of();
    }
    if (!kwargs.isObject()) {
      throw ApiException.invalid(
          "chat_template_kwargs",
          "invalid_type",
          "Invalid type for 'chat_template_kwargs': expected an object.");
    }
    Map<String, @Nullable Object> extra = new LinkedHashMap<>();
    kwargs.propertyStream().forEach(entry -> extra.put(entry.getKey(), plain(entry.getValue())));
    return extra;
  }

  private PreparedCompletion prepare(
      String id,
      String promptName,
      List<List<Integer>> prompts,
      List<String> texts,
      String maxName,
      @Nullable Long max,
      int defaultMax,
      GenerationOptions wanted,
      int topLogprobs,
      boolean continuation) {
    Set<Integer> stopTokens = new HashSet<>(wanted.stopTokens());
    if (!wanted.ignoreEos()) {
      stopTokens.addAll(tokenizer.special().endOfGeneration());
    }
    List<GenerationRequest> generations = new ArrayList<>();
    long entries = 0;
    for (int p = 0; p < prompts.size(); p++) {
      List<Integer> prompt = prompts.get(p);
      String name = prompts.size() == 1 ? promptName : promptName + "[" + p + "]";
      int maxTokens = maxTokens(name, prompt.size(), maxName, max, defaultMax);
      entries += (long) wanted.n() * maxTokens * (1 + Math.max(0, topLogprobs));
      for (int i = 0; i < wanted.n(); i++) {
        generations.add(
            new GenerationRequest(
                id + "-" + generations.size(),
                prompt,
                wanted.sampling(i),
                maxTokens,
                stopTokens,
                wanted.stopStrings(),
                topLogprobs,
                continuation));
      }
    }
    if (topLogprobs >= 0 && entries > limits.logprobEntries()) {
      throw ApiException.invalid(
          maxName,
          "invalid_value",
          "Up to %d log-probabilities (tokens times 1 + top_logprobs times choices) can be reported, this request may need %d; lower '%s' or the alternatives."
              .formatted(limits.logprobEntries(), entries, maxName));
    }
    return new PreparedCompletion(generations, texts, wanted, topLogprobs >= 0);
  }

  private int maxTokens(
      String promptName, int promptTokens, String maxName, @Nullable Long max, int defaultMax) {
    if (promptTokens == 0) {
      throw ApiException.invalid(promptName, "invalid_value", "The prompt has no tokens.");
    }
    int room = contextLength - promptTokens;
    if (room < 1) {
      throw ApiException.contextLength(
          promptName,
          "This model's maximum context length is %d tokens, of which at least 1 is generated; your prompt has %d tokens. Shorten it."
              .formatted(contextLength, promptTokens));
    }
    if (max == null) {
      return Math.min(room, defaultMax);
    }
    int wanted = FieldCheck.integer(maxName, max, 1, Integer.MAX_VALUE, 1);
    if (wanted > room) {
      throw ApiException.contextLength(
          maxName,
          "This model's maximum context length is %d tokens; you requested %d tokens (%d in the prompt, %d in the completion). Shorten the prompt or lower '%s'."
              .formatted(
                  contextLength, (long) promptTokens + wanted, promptTokens, wanted, maxName));
    }
    return wanted;
  }

  private void prompts(
      @Nullable JsonNode prompt, boolean echo, List<List<Integer>> prompts, List<String> texts) {
    if (prompt == null || prompt.isNull()) {
      throw ApiException.invalid(
          "prompt", "missing_required_parameter", "Missing required parameter: 'prompt'.");
    }
    boolean many =
        prompt.isArray()
            && !prompt.isEmpty()
            && (prompt.get(0).isString() || prompt.get(0).isArray());
    if (!many) {
      onePrompt("prompt", prompt, echo, prompts, texts);
      return;
    }
    FieldCheck.atMost("prompt", prompt.size(), limits.choices());
    for (int i = 0; i < prompt.size(); i++) {
      onePrompt("prompt[" + i + "]", prompt.get(i), echo, prompts, texts);
    }
  }

  private void onePrompt(
      String name, JsonNode prompt, boolean echo, List<List<Integer>> prompts, List<String> texts) {
    if (prompt.isString()) {
      prompts.add(prompt(prompt.stringValue(), true));
      texts.add(echo ? prompt.stringValue() : "");
    } else if (prompt.isArray()) {
      List<Integer> ids =
          FieldCheck.tokens(name, prompt, Integer.MAX_VALUE, tokenizer.vocabularySize());
      prompts.add(ids);
      texts.add(
          echo ? tokenizer.decode(ids.stream().mapToInt(Integer::intValue).toArray(), true) : "");
    } else {
      throw ApiException.invalid(
          name,
          "invalid_type",
          "Invalid type for '%s': expected a string or an array of token ids.".formatted(name));
    }
  }

  private static ChatMessage message(String path, ChatCompletionRequest.@Nullable Message message) {
    if (message == null) {
      throw ApiException.invalid(
          path, "invalid_type", "Invalid type for '%s': expected an object.".formatted(path));
    }
    String role = message.role();
    if (role == null || !ROLES.contains(role)) {
      throw ApiException.invalid(
          path + ".role",
          "invalid_value",
          "Invalid '%s.role': expected one of system, developer, user, assistant and tool, got %s."
              .formatted(path, role == null ? "nothing" : "'" + shortened(role) + "'"));
    }
    // Templates know the older word.
    String known = role.equals("developer") ? "system" : role;
    ChatMessage made = ChatMessage.of(known, content(path + ".content", role, message.content()));
    if (message.name() != null) {
      made = made.with("name", message.name());
    }
    if (message.toolCallId() != null) {
      made = made.with("tool_call_id", message.toolCallId());
    }
    if (message.reasoningContent() != null) {
      made = made.with("reasoning_content", message.reasoningContent());
    }
    JsonNode calls = message.toolCalls();
    if (calls != null && calls.isArray() && !calls.isEmpty()) {
      made = made.with("tool_calls", plain(calls));
    }
    return made;
  }

  private static String content(String path, String role, @Nullable JsonNode content) {
    if (content == null || content.isNull()) {
      if (role.equals("assistant")) {
        return "";
      }
      throw ApiException.invalid(
          path, "missing_required_parameter", "Missing required parameter: '%s'.".formatted(path));
    }
    if (content.isString()) {
      return content.stringValue();
    }
    if (!content.isArray()) {
      throw ApiException.invalid(
          path,
          "invalid_type",
          "Invalid type for '%s': expected a string or an array of parts.".formatted(path));
    }
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < content.size(); i++) {
      JsonNode part = content.get(i);
      String partPath = path + "[" + i + "]";
      String type = part.path("type").asString("");
      if (!type.equals("text")) {
        throw ApiException.invalid(
            partPath + ".type",
            "unsupported_content",
            "Invalid '%s.type': only 'text' parts are supported, got '%s'."
                .formatted(partPath, shortened(type)));
      }
      if (!part.path("text").isString()) {
        throw ApiException.invalid(
            partPath + ".text",
            "invalid_type",
            "Invalid type for '%s.text': expected a string.".formatted(partPath));
      }
      text.append(i == 0 ? "" : "\n").append(part.path("text").stringValue());
    }
    return text.toString();
  }

  private static void checkToolChoice(String name, @Nullable JsonNode choice) {
    if (choice == null || choice.isNull()) {
      return;
    }
    String word = choice.asString("");
    if (!word.equals("none") && !word.equals("auto")) {
      throw FieldCheck.refused(name, "this server does not call tools.");
    }
  }

  private static void checkResponseFormat(@Nullable JsonNode format) {
    if (format != null && !format.isNull() && !format.path("type").asString("").equals("text")) {
      throw FieldCheck.refused("response_format", "only {\"type\": \"text\"} is.");
    }
  }

  private static void checkModalities(@Nullable JsonNode modalities) {
    if (modalities == null || modalities.isNull()) {
      return;
    }
    if (!modalities.isArray()
        || modalities.size() != 1
        || !modalities.get(0).asString("").equals("text")) {
      throw FieldCheck.refused("modalities", "only [\"text\"] is.");
    }
  }

  private static String shortened(String value) {
    return value.length() <= 40 ? value : value.substring(0, 40) + "...";
  }

  /** JSON as the plain values that templates read. */
  private static @Nullable Object plain(JsonNode node) {
    if (node.isObject()) {
      Map<String, @Nullable Object> map = new LinkedHashMap<>();
      node.propertyStream().forEach(entry -> map.put(entry.getKey(), plain(entry.getValue())));
      return map;
    }
    if (node.isArray()) {
      List<@Nullable Object> list = new ArrayList<>(node.size());
      node.forEach(item -> list.add(plain(item)));
      return list;
    }
    if (node.isString()) {
      return node.stringValue();
    }
    if (node.isBoolean()) {
      return node.booleanValue();
    }
    return node.isNumber() ? node.numberValue() : null;
  }
}
