package dev.kvdrive.text.template;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** An expression of a template. */
sealed interface Expr {

  /** A constant: Text, Long, Double, Boolean or None. */
  record Constant(Object value) implements Expr {}

  record Name(String name) implements Expr {}

  /** {@code [a, b]}, or {@code (a, b)}. */
  record ListOf(List<Expr> items, boolean tuple) implements Expr {}

  record DictOf(List<Expr> keys, List<Expr> values) implements Expr {}

  /** {@code target.name}: a method or attribute first, then the entry of that key. */
  record Attribute(Expr target, String name) implements Expr {}

  /** {@code target[key]}: the entry first, then the attribute. */
  record Item(Expr target, Expr key) implements Expr {}

  record Slice(Expr target, @Nullable Expr from, @Nullable Expr to, @Nullable Expr step)
      implements Expr {}

  record Call(Expr target, Arguments arguments, int line) implements Expr {}

  record Filter(Expr target, String name, Arguments arguments, int line) implements Expr {}

  record Test(Expr target, String name, Arguments arguments, boolean negated, int line)
      implements Expr {}

  record Not(Expr operand) implements Expr {}

  record Negate(Expr operand) implements Expr {}

  record Plus(Expr operand) implements Expr {}

  record And(Expr left, Expr right) implements Expr {}

  record Or(Expr left, Expr right) implements Expr {}

  /** {@code + - * / // % **}. */
  record Arithmetic(String operator, Expr left, Expr right) implements Expr {}

  /** {@code a ~ b ~ c}. */
  record Concat(List<Expr> parts) implements Expr {}

  /** {@code a < b <= c}: every neighbouring pair must hold. */
  record Compare(Expr first, List<String> operators, List<Expr> others) implements Expr {}

  record Conditional(Expr condition, Expr then, @Nullable Expr otherwise) implements Expr {}

  /** Arguments of a call, by position and by name. */
  record Arguments(List<Expr> positional, List<String> names, List<Expr> named) {
    static final Arguments NONE = new Arguments(List.of(), List.of(), List.of());
  }
}
