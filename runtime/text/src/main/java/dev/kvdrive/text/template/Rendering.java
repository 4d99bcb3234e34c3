package dev.kvdrive.text.template;

import dev.kvdrive.text.template.Expr.Arguments;
import dev.kvdrive.text.template.Statement.MacroDefinition;
import dev.kvdrive.text.template.Statement.Target;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** One rendering of a template: its variables, what it has written and what it has used up. */
final class Rendering {

  /** How a list of statements ended. */
  private enum Flow {
    NEXT,
    BREAK,
    CONTINUE
  }

  private static final int STEPS_PER_ELEMENT = 4;

  private final TemplateLimits limits;
  private Scope scope;
  private Text.Builder out;
  private long steps;
  private long produced;
  private int depth;
  private int line = 1;

  Rendering(TemplateLimits limits, Scope globals) {
    this.limits = limits;
    this.scope = new Scope(globals);
    this.out = new Text.Builder(limits.outputChars());
  }

  Text render(List<Statement> statements) {
    try {
      run(statements);
    } catch (TemplateException e) {
      if (e.isRaised()) {
        throw e;
      }
      throw e.at(line);
    } catch (RuntimeException e) {
      throw TemplateException.unforeseen(e, TemplateException.Kind.DATA).at(line);
    }
    return out.build();
  }

  // Limits

  private void step() {
    if (++steps > limits.steps()) {
      throw new TemplateException(
          "the template takes more than the limit of " + limits.steps() + " steps");
    }
  }

  /** Accounts for a list of so many elements. */
  void list(long elements) {
    steps += elements * STEPS_PER_ELEMENT;
    step();
  }

  /** Longest text that may be made. */
  int maxChars() {
    return limits.outputChars();
  }

  /** Accounts for a text that was made. */
  Text made(Text text) {
    made(text.length());
    return text;
  }

  /** Accounts for a text that is about to be made. */
  void made(long chars) {
    if (chars > limits.outputChars()) {
      throw new TemplateException(
          "the template makes a text of "
              + chars
              + " characters, more than the limit of "
              + limits.outputChars());
    }
    produced += chars;
    if (produced > limits.producedChars()) {
      throw new TemplateException(
          "the template makes texts of more than the limit of "
              + limits.producedChars()
              + " characters");
    }
  }

  private void enter() {
    if (++depth > limits.depth()) {
      throw new TemplateException(
          "the template nests deeper than the limit of " + limits.depth() + " while it runs");
    }
  }

  // Statements

  private Flow run(List<Statement> statements) {
    for (Statement statement : statements) {
      step();
      Flow flow = run(statement);
      if (flow != Flow.NEXT) {
        return flow;
      }
    }
    return Flow.NEXT;
  }

  private Flow run(Statement statement) {
    switch (statement) {
      case Statement.Data data -> out.append(data.text());
      case Statement.Output output -> {
        line = output.line();
        out.append(string(eval(output.expression())));
      }
      case Statement.If branches -> {
        return choose(branches);
      }
      case Statement.For loop -> {
        line = loop.line();
        loop(loop, eval(loop.iterable()), 1);
      }
      case Statement.SetValue set -> {
        line = set.line();
        assign(set.target(), eval(set.value()));
      }
      case Statement.SetBlock set -> {
        line = set.line();
        Text written = made(captured(set.body(), new Scope(scope)));
        assign(set.target(), filtered(set.filtered(), written));
      }
      case Statement.MacroDefinition macro -> scope.set(macro.name(), macro(macro));
      case Statement.CallBlock block -> {
        line = block.line();
        Callable caller = macro(block.caller());
        Object target = eval(block.call().target());
        Args args = arguments(describe(block.call().target()), block.call().arguments());
        Map<String, Object> named = new LinkedHashMap<>(args.named());
        named.put("caller", caller);
        line = block.line();
        out.append(
            string(
                call(
                    block.call().target(),
                    target,
                    new Args(args.callee(), args.positional(), named))));
      }
      case Statement.FilterBlock block -> {
        line = block.line();
        Text written = made(captured(block.body(), new Scope(scope)));
        out.append(string(filtered(block.filtered(), written)));
      }
      case Statement.With with -> {
        line = with.line();
        Scope inner = new Scope(scope);
        for (int i = 0; i < with.targets().size(); i++) {
          Object value = eval(with.values().get(i));
          assign(inner, with.targets().get(i), value);
        }
        return inside(inner, with.body());
      }
      case Statement.Block block -> {
        return inside(new Scope(scope), block.body());
      }
      case Statement.Unsupported tag -> {
        line = tag.line();
        throw TemplateException.unknown("tag", tag.name());
      }
      case Statement.Break b -> {
        return Flow.BREAK;
      }
      case Statement.Continue c -> {
        return Flow.CONTINUE;
      }
    }
    return Flow.NEXT;
  }

  private Flow choose(Statement.If branches) {
    line = branches.line();
    for (int i = 0; i < branches.branches().size(); i++) {
      Expr condition = branches.conditions().get(i);
      if (condition == null || Values.truth(eval(condition))) {
        enter();
        Flow flow = run(branches.branches().get(i));
        depth--;
        return flow;
      }
    }
    return Flow.NEXT;
  }

  private Flow inside(Scope inner, List<Statement> body) {
    Scope before = scope;
    scope = inner;
    enter();
    Flow flow = run(body);
    depth--;
    scope = before;
    return flow;
  }

  private Text captured(List<Statement> body, Scope inner) {
    Text.Builder before = out;
    out = new Text.Builder(limits.outputChars());
    inside(inner, body);
    Text written = out.build();
    out = before;
    return written;
  }

  private Object filtered(@Nullable Expr filter, Text written) {
    if (filter == null) {
      return written;
    }
    Scope before = scope;
    scope = new Scope(before);
    scope.set(Parser.BLOCK_TEXT, written);
    Object value = eval(filter);
    scope = before;
    return value;
  }

  private void loop(Statement.For loop, Object iterable, int level) {
    List<?> elements = Values.elements(iterable);
    if (!(iterable instanceof List<?>)) {
      list(elements.size());
    }
    Scope outer = scope;
    Expr condition = loop.condition();
    if (condition != null) {
      List<Object> kept = new ArrayList<>();
      for (Object element : elements) {
        step();
        scope = new Scope(outer);
        assign(loop.target(), element);
        if (Values.truth(eval(condition))) {
          kept.add(element);
        }
      }
      scope = outer;
      list(kept.size());
      elements = kept;
    }
    if (elements.isEmpty()) {
      inside(new Scope(outer), loop.otherwise());
      return;
    }
    Callable recurse =
        loop.recursive()
            ? (rendering, args) -> {
              Text.Builder before = out;
              out = new Text.Builder(limits.outputChars());
              enter();
              loop(loop, args.get(0, "iterable"), level + 1);
              depth--;
              Text written = out.build();
              out = before;
              return made(written);
            }
            : null;
    Loop variable = new Loop(elements, level, recurse);
    for (int i = 0; i < elements.size(); i++) {
      step();
      variable.index = i;
      Scope inner = new Scope(outer);
      inner.set("loop", variable);
      assign(inner, loop.target(), elements.get(i));
      if (inside(inner, loop.body()) == Flow.BREAK) {
        break;
      }
    }
  }

  private void assign(Target target, Object value) {
    assign(scope, target, value);
  }

  private void assign(Scope into, Target target, Object value) {
    switch (target) {
      case Target.Variable variable -> into.set(variable.name(), value);
      case Target.Member member -> {
        if (!(into.find(member.namespace()) instanceof Namespace namespace)) {
          throw new TemplateException("'" + member.namespace() + "' is not a namespace");
        }
        namespace.members.put(member.name(), value);
      }
      case Target.Unpack unpack -> {
        List<?> values = Values.elements(value);
        if (values.size() != unpack.targets().size()) {
          throw new TemplateException(
              "cannot unpack " + values.size() + " values into " + unpack.targets().size());
        }
        for (int i = 0; i < values.size(); i++) {
          assign(into, unpack.targets().get(i), values.get(i));
        }
      }
    }
  }

  private Callable macro(MacroDefinition macro) {
    Scope defined = scope;
    return (rendering, args) -> {
      Scope inner = new Scope(defined);
      List<String> parameters = macro.parameters();
      if (args.positional().size() > parameters.size()) {
        throw new TemplateException(
            "macro '"
                + macro.name()
                + "' takes "
                + parameters.size()
                + " arguments, not "
                + args.positional().size());
      }
      for (Map.Entry<String, Object> named : args.named().entrySet()) {
        if (!parameters.contains(named.getKey()) && !named.getKey().equals("caller")) {
          throw new TemplateException(
              "macro '" + macro.name() + "' has no argument '" + named.getKey() + "'");
        }
        inner.set(named.getKey(), named.getValue());
      }
      Scope before = scope;
      scope = inner;
      for (int i = 0; i < parameters.size(); i++) {
        Object value = args.find(i, parameters.get(i));
        Expr absent = macro.defaults().get(i);
        if (value == null) {
          value = absent == null ? new Undefined(parameters.get(i)) : eval(absent);
        }
        inner.set(parameters.get(i), value);
      }
      Text written = captured(macro.body(), inner);
      scope = before;
      return made(written);
    };
  }

  // Expressions

  Text string(Object value) {
    return value instanceof Text text ? text : made(Values.string(value, limits.outputChars()));
  }

  Object eval(Expr expression) {
    step();
    enter();
    Object value =
        switch (expression) {
          case Expr.Constant constant -> constant.value();
          case Expr.Name name -> {
            Object found = scope.find(name.name());
            yield found == null ? new Undefined(name.name()) : found;
          }
          case Expr.ListOf list -> {
            List<Object> items = all(list.items());
            yield list.tuple() ? new Tuple(items) : items;
          }
          case Expr.DictOf dict -> {
            Map<Object, Object> map = new LinkedHashMap<>();
            list(dict.keys().size());
            for (int i = 0; i < dict.keys().size(); i++) {
              map.put(key(eval(dict.keys().get(i))), eval(dict.values().get(i)));
            }
            yield map;
          }
          case Expr.Attribute attribute -> attribute(eval(attribute.target()), attribute.name());
          case Expr.Item item -> item(eval(item.target()), eval(item.key()));
          case Expr.Slice slice -> slice(slice);
          case Expr.Call call -> {
            Object target = eval(call.target());
            Args args = arguments(describe(call.target()), call.arguments());
            line = call.line();
            yield call(call.target(), target, args);
          }
          case Expr.Filter filter -> {
            Object target = eval(filter.target());
            Args args = arguments(filter.name(), filter.arguments());
            line = filter.line();
            yield Filters.apply(this, filter.name(), target, args);
          }
          case Expr.Test test -> {
            Object target = eval(test.target());
            Args args = arguments(test.name(), test.arguments());
            line = test.line();
            yield Tests.apply(test.name(), target, args) != test.negated();
          }
          case Expr.Not not -> !Values.truth(eval(not.operand()));
          case Expr.Negate negate -> Numbers.negate(eval(negate.operand()));
          case Expr.Plus plus -> Numbers.require(eval(plus.operand()));
          case Expr.And and -> {
            Object left = eval(and.left());
            yield Values.truth(left) ? eval(and.right()) : left;
          }
          case Expr.Or or -> {
            Object left = eval(or.left());
            yield Values.truth(left) ? left : eval(or.right());
          }
          case Expr.Arithmetic operation ->
              Numbers.apply(
                  this, operation.operator(), eval(operation.left()), eval(operation.right()));
          case Expr.Concat concat -> {
            Text.Builder builder = new Text.Builder(limits.outputChars());
            for (Expr part : concat.parts()) {
              builder.append(string(eval(part)));
            }
            yield made(builder.build());
          }
          case Expr.Compare compare -> compare(compare);
          case Expr.Conditional conditional -> {
            Expr otherwise = conditional.otherwise();
            yield Values.truth(eval(conditional.condition()))
                ? eval(conditional.then())
                : otherwise == null
                    ? new Undefined("the value of an if without else")
                    : eval(otherwise);
          }
        };
    depth--;
    return value;
  }

  private List<Object> all(List<Expr> expressions) {
    list(expressions.size());
    List<Object> values = new ArrayList<>(expressions.size());
    for (Expr expression : expressions) {
      values.add(eval(expression));
    }
    return values;
  }

  private static Object key(Object value) {
    if (value instanceof List<?> || value instanceof Map<?, ?> || value instanceof Undefined) {
      throw new TemplateException(Values.type(value) + " cannot be a key");
    }
    return value;
  }

  private boolean compare(Expr.Compare compare) {
    Object left = eval(compare.first());
    for (int i = 0; i < compare.operators().size(); i++) {
      Object right = eval(compare.others().get(i));
      if (right instanceof List<?> list) {
        list(list.size() / 16);
      }
      boolean holds =
          switch (compare.operators().get(i)) {
            case "==" -> Values.equal(left, right);
            case "!=" -> !Values.equal(left, right);
            case "in" -> Values.contains(right, left);
            case "not in" -> !Values.contains(right, left);
            case "<" -> Values.compare(left, right) < 0;
            case "<=" -> Values.compare(left, right) <= 0;
            case ">" -> Values.compare(left, right) > 0;
            default -> Values.compare(left, right) >= 0;
          };
      if (!holds) {
        return false;
      }
      left = right;
    }
    return true;
  }

  private Args arguments(String callee, Arguments arguments) {
    if (arguments.positional().isEmpty() && arguments.names().isEmpty()) {
      return new Args(callee, List.of(), Map.of());
    }
    List<Object> positional = new ArrayList<>(arguments.positional().size());
    for (Expr argument : arguments.positional()) {
      positional.add(eval(argument));
    }
    Map<String, Object> named = new LinkedHashMap<>();
    for (int i = 0; i < arguments.names().size(); i++) {
      named.put(arguments.names().get(i), eval(arguments.named().get(i)));
    }
    return new Args(callee, positional, named);
  }

  private Object call(Expr named, Object target, Args args) {
    if (target instanceof Loop loop && loop.recurse() != null) {
      return loop.recurse().call(this, args);
    }
    if (!(target instanceof Callable callable)) {
      throw target instanceof Undefined undefined
          ? named instanceof Expr.Name name
              ? TemplateException.unknown("function", name.name())
              : undefined.used()
          : new TemplateException(
              "'" + args.callee() + "' is " + Values.type(target) + ", which cannot be called");
    }
    return callable.call(this, args);
  }

  private static String describe(Expr target) {
    return switch (target) {
      case Expr.Name name -> name.name();
      case Expr.Attribute attribute -> attribute.name();
      default -> "the value";
    };
  }

  /** {@code target.name}. */
  Object attribute(Object target, String name) {
    if (target instanceof Undefined undefined) {
      throw undefined.used();
    }
    if (target instanceof Loop loop) {
      return loop.attribute(name);
    }
    if (target instanceof Namespace namespace) {
      Object value = namespace.members.get(name);
      return value == null ? new Undefined(name) : value;
    }
    if (target instanceof Cycler cycler) {
      return cycler.attribute(name);
    }
    if (target instanceof Filters.Group group && (name.equals("grouper") || name.equals("list"))) {
      return group.get(name.equals("list") ? 1 : 0);
    }
    Callable method = Methods.find(target, name);
    if (method != null) {
      return method;
    }
    if (target instanceof Map<?, ?> map) {
      Object value = map.get(Text.template(name));
      return value == null ? new Undefined(name) : value;
    }
    return new Undefined(name);
  }

  /** {@code target[key]}. */
  Object item(Object target, Object key) {
    if (target instanceof Undefined undefined) {
      throw undefined.used();
    }
    if (target instanceof Map<?, ?> map && !(key instanceof List<?> || key instanceof Map<?, ?>)) {
      Object value = map.get(key);
      if (value != null) {
        return value;
      }
    }
    if (target instanceof List<?> list && key instanceof Long index) {
      long at = index < 0 ? index + list.size() : index;
      return at >= 0 && at < list.size() ? list.get((int) at) : new Undefined("element " + index);
    }
    if (target instanceof Text text && key instanceof Long index) {
      long length = Values.length(text);
      long at = index < 0 ? index + length : index;
      if (at < 0 || at >= length) {
        return new Undefined("character " + index);
      }
      int start = text.toString().offsetByCodePoints(0, (int) at);
      return text.sub(start, text.toString().offsetByCodePoints(start, 1));
    }
    if (key instanceof Text name) {
      return attribute(target, name.toString());
    }
    return new Undefined("element " + Values.string(key, limits.outputChars()));
  }

  private Object slice(Expr.Slice slice) {
    Object target = eval(slice.target());
    if (target instanceof Undefined undefined) {
      throw undefined.used();
    }
    if (!(target instanceof Text) && !(target instanceof List<?>)) {
      throw new TemplateException(Values.type(target) + " cannot be sliced");
    }
    long length = Values.length(target);
    long step = bound(slice.step(), 1);
    if (step == 0) {
      throw new TemplateException("a slice with a step of 0");
    }
    long from = bound(slice.from(), step > 0 ? 0 : Long.MAX_VALUE);
    long to = bound(slice.to(), step > 0 ? Long.MAX_VALUE : Long.MIN_VALUE);
    long low = step > 0 ? 0 : -1;
    long high = step > 0 ? length : length - 1;
    from = Math.clamp(from < 0 && slice.from() != null ? from + length : from, low, high);
    to = Math.clamp(to < 0 && slice.to() != null ? to + length : to, low, high);
    if (target instanceof Text text && step == 1) {
      if (from >= to) {
        return Text.EMPTY;
      }
      String chars = text.toString();
      int start = chars.offsetByCodePoints(0, (int) from);
      return made(text.sub(start, chars.offsetByCodePoints(start, (int) (to - from))));
    }
    List<?> elements = Values.elements(target);
    List<Object> picked = new ArrayList<>();
    for (long at = from; step > 0 ? at < to : at > to; at += step) {
      picked.add(elements.get((int) at));
    }
    list(picked.size());
    if (target instanceof Text) {
      Text.Builder builder = new Text.Builder(limits.outputChars());
      picked.forEach(character -> builder.append((Text) character));
      return made(builder.build());
    }
    return target instanceof Tuple ? new Tuple(picked) : picked;
  }

  private long bound(@Nullable Expr expression, long absent) {
    if (expression == null) {
      return absent;
    }
    return switch (eval(expression)) {
      case Long number -> Math.clamp(number, -(1L << 40), 1L << 40);
      case None none -> absent;
      case Boolean flag -> flag ? 1 : 0;
      case Object other ->
          throw new TemplateException("a slice needs integers, not " + Values.type(other));
    };
  }
}
