package dev.kvdrive.text.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** A statement of a template. */
sealed interface Statement {

  record Data(Text text) implements Statement {}

  record Output(Expr expression, int line) implements Statement {}

  /** The branch of the first condition that holds; the last condition may be absent. */
  record If(List<@Nullable Expr> conditions, List<List<Statement>> branches, int line)
      implements Statement {}

  record For(
      Target target,
      Expr iterable,
      @Nullable Expr condition,
      boolean recursive,
      List<Statement> body,
      List<Statement> otherwise,
      int line)
      implements Statement {}

  record SetValue(Target target, Expr value, int line) implements Statement {}

  /** {@code {% set name %}...{% endset %}}, with filters applied to what it wrote. */
  record SetBlock(Target target, @Nullable Expr filtered, List<Statement> body, int line)
      implements Statement {}

  record MacroDefinition(
      String name, List<String> parameters, List<@Nullable Expr> defaults, List<Statement> body)
      implements Statement {}

  record CallBlock(MacroDefinition caller, Expr.Call call, int line) implements Statement {}

  record FilterBlock(Expr filtered, List<Statement> body, int line) implements Statement {}

  record With(List<Target> targets, List<Expr> values, List<Statement> body, int line)
      implements Statement {}

  /** {@code {% block name %}}: without inheritance, what stands in it. */
  record Block(List<Statement> body) implements Statement {}

  /** A tag that fails when it is reached. */
  record Unsupported(String name, int line) implements Statement {}

  record Break() implements Statement {}

  record Continue() implements Statement {}

  /** What is assigned to. */
  sealed interface Target {

    record Variable(String name) implements Target {}

    /** {@code namespace.name}. */
    record Member(String namespace, String name) implements Target {}

    record Unpack(List<Target> targets) implements Target {}
  }
}
