package dev.kvdrive.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class ExchangeTest {
  private static final String LOG =
      """
      WARNING: something else
      1 12 status 200
      1 13 data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}
      0 14 status 200
      0 15 {"choices":[{"message":{"role":"assistant","content":"It is 7."}}],
      0 15 "usage":{"prompt_tokens":9,"completion_tokens":3}}
      1 20 data: {"choices":[{"index":0,"delta":{"content":"It is"}}]}
      1 35 data: {"choices":[{"index":0,"delta":{"content":" 8."}}]}
      1 36 data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4}}
      1 37 data: [DONE]
      """;

  @Test
  void readsAWholeAnswer() {
    Exchange whole = Exchange.readLog(LOG).get(0);

    assertThat(whole.status()).isEqualTo(200);
    assertThat(whole.text()).isEqualTo("It is 7.");
    assertThat(whole.promptTokens()).isEqualTo(9);
    assertThat(whole.completionTokens()).isEqualTo(3);
  }

  @Test
  void readsAStreamedAnswerAndWhenItsPiecesCame() {
    Exchange streamed = Exchange.readLog(LOG).get(1);

    assertThat(streamed.status()).isEqualTo(200);
    assertThat(streamed.text()).isEqualTo("It is 8.");
    assertThat(streamed.promptTokens()).isEqualTo(10);
    assertThat(streamed.textMillis()).isEqualTo(List.of(20L, 35L));
  }

  @Test
  void readsAStreamedContinuation() {
    Exchange streamed =
        Exchange.readLog("0 1 status 200\n0 2 data: {\"choices\":[{\"text\":\"and so on\"}]}\n")
            .getFirst();

    assertThat(streamed.text()).isEqualTo("and so on");
    assertThat(streamed.textMillis()).isEqualTo(List.of(2L));
  }

  @Test
  void anAnswerThatNeverCameHasNoStatus() {
    assertThat(Exchange.readLog("failed: java.net.ConnectException")).isEmpty();
  }
}
