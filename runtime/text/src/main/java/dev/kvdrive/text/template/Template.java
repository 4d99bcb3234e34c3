package dev.kvdrive.text.template;

import java.time.Clock;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A compiled template. Immutable; any thread may render it. */
public final class Template {

  private final List<Statement> statements;
  private final List<String> unknowns;
  private final TemplateLimits limits;
  private final Clock clock;

  private Template(Parser.Parsed parsed, TemplateLimits limits, Clock clock) {
    this.statements = parsed.statements();
    this.unknowns = parsed.unknowns();
    this.limits = limits;
    this.clock = clock;
  }

  /**
   * Compiles a template.
   *
   * @param clock what {@code strftime_now} reads, in its zone
   * @throws TemplateException when the source is not a template that is supported, or names a
   *     filter, test, function or tag that there is not where every rendering comes by
   */
  public static Template compile(String source, TemplateLimits limits, Clock clock) {
    try {
      return new Template(Parser.parse(source, limits.depth()), limits, clock);
    } catch (StackOverflowError e) {
      throw new TemplateException("the template nests too deeply", TemplateException.Kind.SOURCE);
    } catch (RuntimeException e) {
      throw TemplateException.unforeseen(e, TemplateException.Kind.SOURCE);
    }
  }

  /**
   * The filters, tests, functions and tags that the template names in its branches and that there
   * are not. A rendering that reaches one fails in the same words.
   */
  public List<String> unknowns() {
    return unknowns;
  }

  /**
   * Renders the template.
   *
   * @param template variables that are part of the template, such as {@code bos_token}
   * @param data variables that are not: JSON values; their strings stay marked as data
   * @throws TemplateException and nothing else, when the template fails, refuses the data or
   *     exceeds its limits
   */
  public Text render(Map<String, String> template, Map<String, ? extends @Nullable Object> data) {
    Scope globals = new Scope(null);
    Globals.define(globals, clock);
    template.forEach((name, value) -> globals.set(name, Text.template(value)));
    try {
      Iterator<? extends Map.Entry<String, ? extends @Nullable Object>> entries =
          data.entrySet().iterator();
      while (entries.hasNext()) {
        Map.Entry<String, ? extends @Nullable Object> entry = entries.next();
        globals.set(entry.getKey(), Values.of(entry.getValue()));
      }
      return new Rendering(limits, globals).render(statements);
    } catch (StackOverflowError e) {
      throw new TemplateException("the template nests too deeply");
    } catch (RuntimeException e) {
      throw TemplateException.unforeseen(e, TemplateException.Kind.DATA);
    }
  }
}
