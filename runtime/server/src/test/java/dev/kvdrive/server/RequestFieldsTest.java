package dev.kvdrive.server;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.server.openai.ApiException;
import dev.kvdrive.server.openai.ChatCompletionRequest;
import dev.kvdrive.server.openai.CompletionRequest;
import dev.kvdrive.server.openai.ErrorBody;
import dev.kvdrive.server.openai.PreparedCompletion;
import dev.kvdrive.server.openai.TokenizeRequest;
import dev.kvdrive.server.serving.ServedModel;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which fields are read, which change nothing, and which are refused. */
class RequestFieldsTest {
  private static final ScriptedRuntime RUNTIME = new ScriptedRuntime();
  private static final ServedModel MODEL = RUNTIME.start(step -> {});

  private static PreparedCompletion chat(String more) {
    return conversation("[{\"role\":\"user\",\"content\":\"hello\"}]", more);
  }

  private static PreparedCompletion conversation(String messages, String more) {
    String body = "{\"messages\":" + messages + (more.isEmpty() ? "" : "," + more) + "}";
    return MODEL.reader().read("r", read(body, ChatCompletionRequest.class));
  }

  private static PreparedCompletion text(String more) {
    String body = "{\"prompt\":\"hello\"" + (more.isEmpty() ? "" : "," + more) + "}";
    return MODEL.reader().read("r", read(body, CompletionRequest.class));
  }

  private static <T> T read(String body, Class<T> type) {
    return MODEL.json().read(body.getBytes(StandardCharsets.UTF_8), type);
  }

  private static String prompt(PreparedCompletion prepared) {
    List<Integer> ids = prepared.generations().getFirst().prompt();
    return RUNTIME.tokenizer.decode(ids.stream().mapToInt(Integer::intValue).toArray(), false);
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(
      strings = {
        "\"user\":\"me\"",
        "\"metadata\":{\"a\":\"b\"}",
        "\"store\":true",
        "\"service_tier\":\"auto\"",
        "\"prompt_cache_key\":\"k\"",
        "\"safety_identifier\":\"s\"",
        "\"cache_salt\":\"pepper\"",
        "\"cache_prompt\":true",
        "\"id_slot\":-1",
        "\"session_id\":\"s\",\"chat_id\":7,\"conversation_id\":null,\"request_id\":\"r\"",
        "\"keep_alive\":\"5m\"",
        "\"keep_alive\":-1",
        "\"priority\":0",
        "\"min_tokens\":0",
        "\"min_tokens\":4,\"max_tokens\":4,\"ignore_eos\":true",
        "\"skip_special_tokens\":true",
        "\"spaces_between_special_tokens\":true",
        "\"include_stop_str_in_output\":false",
        "\"length_penalty\":1.0",
        "\"best_of\":1",
        "\"use_beam_search\":false,\"early_stopping\":false",
        "\"truncate_prompt_tokens\":null,\"prompt_logprobs\":null,\"allowed_token_ids\":null",
        "\"bad_words\":[],\"logits_processors\":[],\"logit_bias\":{}",
        "\"guided_json\":null,\"structured_outputs\":null,\"kv_transfer_params\":null",
        "\"return_tokens_as_token_ids\":false,\"return_token_ids\":false",
        "\"repeat_penalty\":1.0,\"repeat_last_n\":64,\"typical_p\":1,\"mirostat\":0",
        "\"mirostat_tau\":5,\"dry_multiplier\":0.0,\"xtc_probability\":0,\"grammar\":\"\"",
        "\"timings_per_token\":false,\"n_probs\":0,\"lora\":[],\"samplers\":null",
        "\"max_tokens\":16.0,\"top_k\":20.0,\"seed\":3.0,\"n\":1.0",
        "\"max_tokens\":null,\"stop\":null,\"seed\":null,\"n\":null,\"stream_options\":null",
        "\"stream\":true,\"stream_options\":{\"continuous_usage_stats\":true,\"include_obfuscation\":false}"
      })
  void whatChangesNothingIsAccepted(String fields) {
    assertThat(prompt(chat(fields))).isEqualTo(prompt(chat("")));
    assertThat(prompt(text(fields))).isEqualTo("hello");
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(
      strings = {
        "\"add_generation_prompt\":true",
        "\"continue_final_message\":false",
        "\"enable_thinking\":false",
        "\"add_special_tokens\":false",
        "\"echo\":false",
        "\"include_reasoning\":true",
        "\"reasoning_format\":\"none\"",
        "\"reasoning_effort\":\"low\",\"verbosity\":\"high\",\"parallel_tool_calls\":true",
        "\"prediction\":{\"type\":\"content\",\"content\":\"x\"}",
        "\"documents\":[],\"mm_processor_kwargs\":{},\"chat_template\":null,\"audio\":null",
        "\"tools\":[],\"functions\":[]",
        "\"tools\":[{\"type\":\"function\"}],\"tool_choice\":\"none\"",
        "\"functions\":[{\"name\":\"f\"}],\"function_call\":\"none\"",
        "\"tool_choice\":\"auto\"",
        "\"response_format\":{\"type\":\"text\"},\"modalities\":[\"text\"]",
        "\"safe_prompt\":false"
      })
  void whatChangesNothingInAChatIsAccepted(String fields) {
    assertThat(prompt(chat(fields))).isEqualTo(prompt(chat("")));
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          "tools":true                      | tools                 | invalid_type
          "tools":{}                        | tools                 | invalid_type
          "tools":[1]                       | tools[0]              | invalid_type
          "tools":[{"type":"function"}]     | tools                 | unsupported_parameter
          "tools":[{}],"tool_choice":"auto" | tools                 | unsupported_parameter
          "tool_choice":true                | tool_choice           | invalid_type
          "tool_choice":{"type":"function"} | tool_choice           | unsupported_parameter
          "functions":5                     | functions             | invalid_type
          "logit_bias":-5                   | logit_bias            | invalid_type
          "logit_bias":[]                   | logit_bias            | invalid_type
          "logit_bias":{"5":1}              | logit_bias            | unsupported_parameter
          "web_search_options":{}           | web_search_options    | unsupported_parameter
          "audio":{}                        | audio                 | unsupported_parameter
          "modalities":"text"               | modalities            | invalid_type
          "modalities":["text","audio"]     | modalities            | unsupported_parameter
          "response_format":"text"          | response_format       | invalid_type
          "response_format":{}              | response_format       | unsupported_parameter
          "user":5                          | user                  | invalid_type
          "store":"yes"                     | store                 | invalid_type
          "metadata":[]                     | metadata              | invalid_type
          "parallel_tool_calls":1           | parallel_tool_calls   | invalid_type
          "min_tokens":-1                   | min_tokens            | invalid_value
          "min_tokens":2                    | min_tokens            | unsupported_parameter
          "min_tokens":9,"max_tokens":4,"ignore_eos":true | min_tokens | invalid_value
          "min_tokens":"2"                  | min_tokens            | invalid_type
          "priority":3                      | priority              | unsupported_parameter
          "priority":"high"                 | priority              | invalid_type
          "skip_special_tokens":false       | skip_special_tokens   | unsupported_parameter
          "skip_special_tokens":1           | skip_special_tokens   | invalid_type
          "include_stop_str_in_output":true | include_stop_str_in_output | unsupported_parameter
          "length_penalty":0.8              | length_penalty        | unsupported_parameter
          "repeat_penalty":1.1              | repeat_penalty        | unsupported_parameter
          "best_of":2                       | best_of               | unsupported_parameter
          "use_beam_search":true            | use_beam_search       | unsupported_parameter
          "guided_json":{}                  | guided_json           | unsupported_parameter
          "guided_choice":["a"]             | guided_choice         | unsupported_parameter
          "grammar":"root ::= x"            | grammar               | unsupported_parameter
          "mirostat":2                      | mirostat              | unsupported_parameter
          "truncate_prompt_tokens":5        | truncate_prompt_tokens | unsupported_parameter
          "prompt_logprobs":0               | prompt_logprobs       | unsupported_parameter
          "chat_template":"{{ messages }}"  | chat_template         | unsupported_parameter
          "documents":[{"text":"x"}]        | documents             | unsupported_parameter
          "echo":true                       | echo                  | unsupported_parameter
          "add_special_tokens":true         | add_special_tokens    | unsupported_parameter
          "include_reasoning":false         | include_reasoning     | unsupported_parameter
          "enable_thinking":"no"            | enable_thinking       | invalid_type
          "continue_final_message":"no"     | continue_final_message | invalid_type
          "continue_final_message":true,"add_generation_prompt":true | continue_final_message | invalid_value
          "max_tokens":-2                   | max_tokens            | invalid_value
          "max_tokens":1.5                  | max_tokens            | invalid_type
          "max_tokens":true                 | max_tokens            | invalid_type
          "max_token":3                     | max_token             | unknown_parameter
          "max_token":null                  | max_token             | unknown_parameter
          """)
  void whatChangesTheAnswerOrHasAnotherTypeIsRefusedByName(
      String fields, String param, String code) {
    assertThatThrownBy(() -> chat(fields))
        .isInstanceOfSatisfying(
            ApiException.class,
            error -> {
              ErrorBody.Detail detail = error.body().error();
              assertThat(error.status()).isEqualTo(400);
              assertThat(detail.param()).isEqualTo(param);
              assertThat(detail.code()).isEqualTo(code);
            });
  }

  @Test
  void aMessageMayHaveFieldsOfItsOwn() {
    assertThat(
            prompt(
                conversation(
                    "[{\"role\":\"user\",\"content\":\"hello\",\"id\":7,\"opts\":{\"visible\":false}}]",
                    "")))
        .isEqualTo(prompt(chat("")));
    assertThat(
            prompt(
                conversation(
                    "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\",\"reasoning\":\"because\"},{\"role\":\"user\",\"content\":\"c\"}]",
                    "")))
        .contains("a<|im_end|>")
        .endsWith("c<|im_end|>\n<|im_start|>assistant\n");
  }

  @Test
  void minusOneAsksForAllThatTheContextHasRoomFor() {
    for (PreparedCompletion prepared :
        List.of(
            chat("\"max_tokens\":-1"),
            chat("\"max_completion_tokens\":-1"),
            text("\"max_tokens\":-1"))) {
      assertThat(prepared.generations().getFirst().maxTokens())
          .isEqualTo(ScriptedRuntime.CONTEXT - prepared.promptTokens());
    }
  }

  private static final String UNFINISHED =
      "[{\"role\":\"user\",\"content\":\"hello\"},{\"role\":\"assistant\",\"content\":\"The sea %s\"}]";

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = ';',
      textBlock =
          """
                                                                  ; The sea is
          "continue_final_message":true                           ; The sea is
          "continue_final_message":true,"add_generation_prompt":false ; The sea is
          "add_generation_prompt":false                           ; The sea is
          "continue_final_message":false                          ; The sea is<|im_end|>~<|im_start|>assistant~
          "add_generation_prompt":true                            ; The sea is<|im_end|>~<|im_start|>assistant~
          "continue_final_message":false,"add_generation_prompt":false ; The sea is<|im_end|>~
          """)
  void anUnfinishedMessageOfTheAssistantGoesOn(String fields, String end) {
    PreparedCompletion prepared =
        conversation(UNFINISHED.formatted("is"), fields == null ? "" : fields);
    assertThat(prompt(prepared))
        .isEqualTo(
            "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n" + end.replace('~', '\n'));
    // Its space belongs to the text only where the answer goes on with it.
    assertThat(prepared.generations().getFirst().continuation()).isEqualTo(end.endsWith("is"));
  }

  @Test
  void anUnfinishedMessageKeepsItsLastSpace() {
    assertThat(prompt(conversation(UNFINISHED.formatted(""), ""))).endsWith("assistant\nThe sea ");
  }

  @Test
  void aMessageThatCallsToolsIsFinished() {
    assertThat(
            prompt(
                conversation(
                    "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\"}]}]",
                    "")))
        .endsWith("<|im_end|>\n<|im_start|>assistant\n");
  }

  @Test
  void tokenizeReadsAConversationAsAChatDoes() {
    for (String more : List.of("", ",\"continue_final_message\":false")) {
      String body = "{\"messages\":" + UNFINISHED.formatted("is") + more + "}";
      assertThat(MODEL.reader().read(read(body, TokenizeRequest.class)))
          .isEqualTo(
              MODEL
                  .reader()
                  .read("r", read(body, ChatCompletionRequest.class))
                  .generations()
                  .getFirst()
                  .prompt());
    }
  }
}
