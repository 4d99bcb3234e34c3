package dev.kvdrive.text;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Finds where the last message ends in what a template makes of it: a mark is put behind it, and
 * the prompt is cut at the mark.
 */
final class UnfinishedMessage {

  /** Characters for private use, which no template looks for. */
  private static final String MARK = "\uE000kvdrive\uE001";

  private UnfinishedMessage() {}

  static PromptText prompt(
      ChatTemplate template,
      List<ChatMessage> messages,
      Map<String, ? extends @Nullable Object> extra) {
    if (!(messages.getLast().fields().get("content") instanceof String content)) {
      throw new IllegalArgumentException("the last message has no text to continue");
    }
    List<ChatMessage> marked = new ArrayList<>(messages);
    // The space tells whether the template trims its messages.
    marked.set(marked.size() - 1, messages.getLast().with("content", content + MARK + " "));
    PromptText whole = template.prompt(marked, extra, false);
    int end = whole.text().lastIndexOf(MARK);
    if (end < 0) {
      throw new ChatTemplateException(
          ChatTemplateException.Cause.REFUSED,
          "it does not show the last message, so that no answer can continue it");
    }
    boolean trimmed = !whole.text().startsWith(MARK + " ", end);
    for (int at = content.length(); trimmed && at > 0 && end > 0; at--) {
      char last = content.charAt(at - 1);
      if (!Character.isWhitespace(last) || whole.text().charAt(end - 1) != last) {
        break;
      }
      end--;
    }
    return whole.cut(end);
  }
}
