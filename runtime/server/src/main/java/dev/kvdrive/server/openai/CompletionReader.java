package dev.kvdrive.server.openai;

import dev.kvdrive.schedule.GenerationRequest;
import dev.kvdrive.text.ChatMessage;
import dev.kvdrive.text.ChatTemplate;
import dev.kvdrive.text.ChatTemplateException;
import dev.kvdrive.text.PromptText;
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
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.NullNode;

/**
 * Turns completion requests into generations: checks every field, renders the template, tokenises,
 * and checks the lengths. Takes time in proportion to the prompt; not for the event loop.
 */
public final class CompletionReader {
  private static final int COMPLETION_DEFAULT_TOKENS = 16;

  /** How clients of llama.cpp ask for as many tokens as the context has room for. */
  private static final long TO_THE_END = -1;

  private static final Set<String> ROLES =
      Set.of("system", "developer", "user", "assistant", "tool");

  private static final Logger log = LoggerFactory.getLogger(CompletionReader.class);

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
    ClientFields.checkChat(request.others());
    ClientFields.checkTools("tools", request.tools(), "tool_choice", request.toolChoice());
    ClientFields.checkTools(
        "functions", request.functions(), "function_call", request.functionCall());
    GenerationOptions wanted = options.read(request);
    boolean logprobs = Boolean.TRUE.equals(request.logprobs());
    int top = FieldCheck.integer("top_logprobs", request.topLogprobs(), 0, limits.topLogprobs(), 0);
    if (top > 0 && !logprobs) {
      throw ApiException.invalid(
          "top_logprobs", "invalid_value", "'top_logprobs' needs 'logprobs' to be true.");
    }
    if (request.maxTokens() != null
        && request.maxCompletionTokens() != null
        && !request.maxTokens().value().equals(request.maxCompletionTokens().value())) {
      throw ApiException.invalid(
          "max_tokens",
          "invalid_value",
          "'max_tokens' and 'max_completion_tokens' are two names of one limit and differ; send one of them.");
    }
    String maxName = request.maxCompletionTokens() != null ? "max_completion_tokens" : "max_tokens";
    WholeNumber max =
        request.maxCompletionTokens() != null ? request.maxCompletionTokens() : request.maxTokens();
    Conversation conversation =
        conversation(
            request.messages(),
            extra(request.chatTemplateKwargs(), request.enableThinking()),
            request.addGenerationPrompt(),
            request.continueFinalMessage());
    return prepare(
        id,
        "messages",
        List.of(tokens(conversation)),
        List.of(""),
        maxName,
        max,
        Integer.MAX_VALUE,
        wanted,
        logprobs ? top : -1,
        conversation.ending() == Ending.CONTINUED);
  }

  /**
   * Reads a request for the continuation of raw prompts.
   *
   * @throws ApiException if it cannot be served
   */
  public PreparedCompletion read(String id, CompletionRequest request) {
    checkModel(request.model());
    ClientFields.checkText(request.others());
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
    RawPrompt how =
        new RawPrompt(
            !Boolean.FALSE.equals(request.addSpecialTokens()),
            !Boolean.FALSE.equals(request.parseSpecial()));
    prompts(request.prompt(), how, echo, prompts, texts);
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

  /** How the prompt of a conversation ends. */
  private enum Ending {
    /** With the opening of an answer. */
    OPENED,
    /** Behind the last message. */
    CLOSED,
    /** Inside the last message, which the answer goes on with. */
    CONTINUED
  }

  /**
   * A checked conversation.
   *
   * @param extra further variables for the template
   */
  private record Conversation(
      List<ChatMessage> messages, Map<String, @Nullable Object> extra, Ending ending) {}

  /**
   * The token ids that {@code POST /tokenize} asks for.
   *
   * @throws ApiException if it asks for nothing, for both, or for what cannot be tokenised
   */
  public List<Integer> read(TokenizeRequest request) {
    checkModel(request.model());
    ClientFields.checkTokenize(request.others());
    String prompt = request.prompt();
    if (prompt == null && request.messages() == null) {
      throw ApiException.invalid(
          "prompt", "missing_required_parameter", "Give either 'prompt' or 'messages'.");
    }
    if (prompt != null && request.messages() != null) {
      throw ApiException.invalid(
          "prompt", "invalid_value", "Give either 'prompt' or 'messages', not both.");
    }
    if (prompt != null) {
      return tokens(
          prompt,
          new RawPrompt(
              !Boolean.FALSE.equals(request.addSpecialTokens()),
              !Boolean.FALSE.equals(request.parseSpecial())));
    }
    return tokens(
        conversation(
            request.messages(),
            extra(request.chatTemplateKwargs(), request.enableThinking()),
            request.addGenerationPrompt(),
            request.continueFinalMessage()));
  }

  private Conversation conversation(
      @Nullable List<ChatCompletionRequest.@Nullable Message> messages,
      Map<String, @Nullable Object> extra,
      @Nullable Boolean addGenerationPrompt,
      @Nullable Boolean continueFinalMessage) {
    if (Boolean.TRUE.equals(addGenerationPrompt) && Boolean.TRUE.equals(continueFinalMessage)) {
      throw ApiException.invalid(
          "continue_final_message",
          "invalid_value",
          "'continue_final_message' and 'add_generation_prompt' cannot both be true: an answer either goes on with the last message or is a new one.");
    }
    if (messages == null || messages.isEmpty()) {
      throw ApiException.invalid(
          "messages", "missing_required_parameter", "'messages' must have at least one message.");
    }
    FieldCheck.atMost("messages", messages.size(), limits.messages());
    List<ChatMessage> conversation = new ArrayList<>(messages.size());
    for (int i = 0; i < messages.size(); i++) {
      conversation.add(message("messages[" + i + "]", messages.get(i)));
    }
    ChatCompletionRequest.Message last = messages.getLast();
    boolean unfinished =
        last != null
            && "assistant".equals(last.role())
            && isAbsent(last.toolCalls())
            && !Boolean.TRUE.equals(addGenerationPrompt);
    boolean continued = continueFinalMessage == null ? unfinished : continueFinalMessage;
    return new Conversation(
        conversation,
        extra,
        continued
            ? Ending.CONTINUED
            : Boolean.FALSE.equals(addGenerationPrompt) ? Ending.CLOSED : Ending.OPENED);
  }

  private static boolean isAbsent(@Nullable JsonNode list) {
    return list == null || list.isNull() || list.isEmpty();
  }

  private List<Integer> tokens(Conversation conversation) {
    ChatTemplate chat =
        template.orElseThrow(
            () ->
                ApiException.invalid(
                    "messages",
                    "no_chat_template",
                    "The model has no chat template; use /v1/completions with a raw prompt."));
    chat.problem()
        .ifPresent(
            why -> {
              throw unusable(why);
            });
    try {
      PromptText prompt =
          conversation.ending() == Ending.CONTINUED
              ? chat.continuing(conversation.messages(), conversation.extra())
              : chat.prompt(
                  conversation.messages(),
                  conversation.extra(),
                  conversation.ending() == Ending.OPENED);
      return Arrays.stream(tokenizer.encode(prompt)).boxed().toList();
    } catch (ChatTemplateException e) {
      if (e.getCause() != null) {
        log.warn("The chat template failed in an unforeseen way", e);
      }
      throw switch (e.reason()) {
        case REFUSED ->
            ApiException.invalid(
                "messages",
                "refused_by_chat_template",
                "The model's chat template refuses the messages: " + e.getMessage());
        case UNUSABLE -> unusable(e.getMessage());
        case FAILED ->
            ApiException.invalid(
                "messages",
                "failed_chat_template",
                "The model's chat template fails on these messages: %s. Change them, or use /v1/completions with a raw prompt."
                    .formatted(e.getMessage()));
      };
    }
  }

  private static ApiException unusable(String why) {
    return ApiException.invalid(
        "messages",
        "unusable_chat_template",
        "The model's chat template cannot be used (%s); use /v1/completions with a raw prompt."
            .formatted(why));
  }

  /**
   * How a raw prompt is read.
   *
   * @param framed whether the tokens are added that the model wants around a prompt
   * @param parseSpecial whether the text of a control token is that token
   */
  private record RawPrompt(boolean framed, boolean parseSpecial) {}

  private List<Integer> tokens(String text, RawPrompt how) {
    int[] ids =
        how.framed()
            ? tokenizer.encodePrompt(text, how.parseSpecial())
            : tokenizer.encode(text, how.parseSpecial());
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
  private static Map<String, @Nullable Object> extra(
      @Nullable JsonNode kwargs, @Nullable Boolean enableThinking) {
    Map<String, @Nullable Object> extra = new LinkedHashMap<>();
    if (enableThinking != null) {
      extra.put("enable_thinking", enableThinking);
    }
    if (kwargs == null || kwargs.isNull()) {
      return extra;
    }
    if (!kwargs.isObject()) {
      throw FieldCheck.type("chat_template_kwargs", "an object", kwargs);
    }
    kwargs.propertyStream().forEach(entry -> extra.put(entry.getKey(), plain(entry.getValue())));
    return extra;
  }

  private PreparedCompletion prepare(
      String id,
      String promptName,
      List<List<Integer>> prompts,
      List<String> texts,
      String maxName,
      @Nullable WholeNumber max,
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
      checkMinTokens(wanted, maxName, maxTokens);
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
      String promptName,
      int promptTokens,
      String maxName,
      @Nullable WholeNumber max,
      int defaultMax) {
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
    if (max.value().orElse(0) == TO_THE_END) {
      return room;
    }
    int wanted =
        (int)
            FieldCheck.integer(
                maxName,
                max,
                1,
                Integer.MAX_VALUE,
                "1 and %d, for which the context has room, or %d for all of that"
                    .formatted(room, TO_THE_END));
    if (wanted > room) {
      throw ApiException.contextLength(
          maxName,
          "This model's maximum context length is %d tokens; you requested %d tokens (%d in the prompt, %d in the completion). Shorten the prompt or lower '%s'."
              .formatted(
                  contextLength, (long) promptTokens + wanted, promptTokens, wanted, maxName));
    }
    return wanted;
  }

  /** Refuses a least length that something could keep from being reached. */
  private static void checkMinTokens(GenerationOptions wanted, String maxName, int maxTokens) {
    if (wanted.minTokens() > maxTokens) {
      throw ApiException.invalid(
          "min_tokens",
          "invalid_value",
          "Invalid 'min_tokens': must not be more than '%s', which is %d here; got %d."
              .formatted(maxName, maxTokens, wanted.minTokens()));
    }
    if (wanted.minTokens() > 0 && wanted.mayEndEarly()) {
      throw FieldCheck.refused(
          "min_tokens",
          "an answer ends where the model or a stop ends it; leave it out, or set 'ignore_eos' and no stops.");
    }
  }

  private void prompts(
      @Nullable JsonNode prompt,
      RawPrompt how,
      boolean echo,
      List<List<Integer>> prompts,
      List<String> texts) {
    if (prompt == null || prompt.isNull()) {
      throw ApiException.invalid(
          "prompt", "missing_required_parameter", "Missing required parameter: 'prompt'.");
    }
    boolean many =
        prompt.isArray()
            && !prompt.isEmpty()
            && (prompt.get(0).isString() || prompt.get(0).isArray());
    if (!many) {
      onePrompt("prompt", prompt, how, echo, prompts, texts);
      return;
    }
    FieldCheck.atMost("prompt", prompt.size(), limits.choices());
    for (int i = 0; i < prompt.size(); i++) {
      onePrompt("prompt[" + i + "]", prompt.get(i), how, echo, prompts, texts);
    }
  }

  private void onePrompt(
      String name,
      JsonNode prompt,
      RawPrompt how,
      boolean echo,
      List<List<Integer>> prompts,
      List<String> texts) {
    if (prompt.isString()) {
      prompts.add(tokens(prompt.stringValue(), how));
      texts.add(echo ? prompt.stringValue() : "");
    } else if (prompt.isArray()) {
      List<Integer> ids =
          FieldCheck.tokens(name, prompt, Integer.MAX_VALUE, tokenizer.vocabularySize());
      prompts.add(ids);
      texts.add(
          echo ? tokenizer.decode(ids.stream().mapToInt(Integer::intValue).toArray(), true) : "");
    } else {
      throw FieldCheck.type(name, "a string or an array of token ids", prompt);
    }
  }

  private static ChatMessage message(String path, ChatCompletionRequest.@Nullable Message message) {
    if (message == null) {
      throw FieldCheck.type(path, "an object", NullNode.getInstance());
    }
    String role = message.role();
    if (role == null || !ROLES.contains(role)) {
      throw ApiException.invalid(
          path + ".role",
          "invalid_value",
          "Invalid '%s.role': expected one of system, developer, user, assistant and tool, got %s."
              .formatted(path, role == null ? "nothing" : "'" + FieldCheck.shown(role) + "'"));
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
    JsonNode reasoning = message.reasoning();
    if (message.reasoningContent() != null) {
      made = made.with("reasoning_content", message.reasoningContent());
    } else if (reasoning != null && reasoning.isString()) {
      made = made.with("reasoning_content", reasoning.stringValue());
    }
    JsonNode calls = message.toolCalls();
    if (calls != null && !calls.isNull()) {
      if (!calls.isArray()) {
        throw FieldCheck.type(path + ".tool_calls", "an array", calls);
      }
      made = calls.isEmpty() ? made : made.with("tool_calls", plain(calls));
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
      throw FieldCheck.type(path, "a string or an array of parts", content);
    }
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < content.size(); i++) {
      JsonNode part = content.get(i);
      String partPath = path + "[" + i + "]";
      if (!part.isObject()) {
        throw FieldCheck.type(
            partPath, "an object such as {\"type\": \"text\", \"text\": \"...\"}", part);
      }
      if (!part.path("type").isString()) {
        throw FieldCheck.type(partPath + ".type", "\"text\"", part.path("type"));
      }
      String type = part.path("type").stringValue();
      if (!type.equals("text")) {
        throw ApiException.invalid(
            partPath + ".type",
            "unsupported_content",
            "Invalid '%s.type': only 'text' parts are supported, got '%s'."
                .formatted(partPath, FieldCheck.shown(type)));
      }
      if (!part.path("text").isString()) {
        throw FieldCheck.type(partPath + ".text", "a string", part.path("text"));
      }
      text.append(i == 0 ? "" : "\n").append(part.path("text").stringValue());
    }
    return text.toString();
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
