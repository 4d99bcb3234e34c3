package dev.kvdrive.bench.users;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.bench.users.ChatStream.Event;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ChatStreamTest {
  private final List<Event> events = new ArrayList<>();

  private void read(String lines) throws IOException {
    ChatStream.read(lines.lines().iterator(), events::add);
  }

  @Test
  void tellsOfProgressThenOfTextThenOfUsage() throws IOException {
    read(
        """
        : prefill 12 %

        data: {"choices":[{"delta":{"role":"assistant","content":""}}]}

        : prefill 80 %

        data: {"choices":[{"delta":{"content":"The "}}]}

        : decoding

        data: {"choices":[{"delta":{"content":"key"}}],"usage":null}

        data: {"choices":[],"usage":{"completion_tokens":2}}

        data: [DONE]
        """);
    assertThat(events.subList(0, 4))
        .containsExactly(
            new Event.Prefill(0.12),
            new Event.Prefill(0.8),
            new Event.Text("The "),
            new Event.Text("key"));
    assertThat(events.getLast()).isInstanceOf(Event.Usage.class);
  }

  @Test
  void anErrorInTheStreamIsToldInTheServersWords() {
    assertThatThrownBy(() -> read("data: {\"error\":{\"message\":\"the drive is gone\"}}\n\n"))
        .isInstanceOf(IOException.class)
        .hasMessage("the drive is gone");
  }

  @Test
  void aStreamThatBreaksOffIsNoAnswer() {
    assertThatThrownBy(() -> read("data: {\"choices\":[{\"delta\":{\"content\":\"The\"}}]}\n\n"))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("before the answer was complete");
  }
}
