package dev.kvdrive.text.template;

import dev.kvdrive.text.template.Expr.Arguments;
import dev.kvdrive.text.template.Statement.Target;
import dev.kvdrive.text.template.Token.Kind;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Recursive descent over the tokens of a template, in the precedences of jinja2. */
final class Parser {

  /** Tags of jinja2 that need other templates, of which there are none. */
  private static final Set<String> OTHER_TEMPLATES = Set.of("include", "import", "from", "extends");

  /** The name under which the text of a filtered block stands in its expression. */
  static final String BLOCK_TEXT = "{block}";

  /** What jinja2 binds by itself, in places that need no statement. */
  private static final Set<String> BOUND = Set.of("loop", "caller");

  /**
   * What a template consists of.
   *
   * @param unknowns what it names in branches and that there is not: a rendering that reaches one
   *     fails in these words
   */
  record Parsed(List<Statement> statements, List<String> unknowns) {}

  /**
   * Something that there may not be.
   *
   * @param function its name if it is called as one; it may still be bound further down
   * @param certain whether every rendering reaches it
   */
  private record Doubt(String words, @Nullable String function, boolean certain) {}

  private final List<Token> tokens;
  private final int maxDepth;
  private final List<Doubt> doubts = new ArrayList<>();
  private final Set<String> bound = new HashSet<>(BOUND);
  private int at;
  private int depth;
  private int loops;

  /** How many branches, of which a rendering may leave out each, what is parsed stands in. */
  private int branches;

  private Parser(List<Token> tokens, int maxDepth) {
    this.tokens = tokens;
    this.maxDepth = maxDepth;
  }

  static Parsed parse(String source, int maxDepth) {
    Parser parser = new Parser(Lexer.tokens(source), maxDepth);
    List<Statement> statements = parser.statements(Set.of());
    if (parser.peek().kind() != Kind.END) {
      throw parser.unexpected("the end of the template");
    }
    return new Parsed(statements, parser.unknowns());
  }

  /**
   * What the template names and that there is not.
   *
   * @throws TemplateException of one that every rendering reaches, whatever its data
   */
  private List<String> unknowns() {
    Set<String> unknowns = new LinkedHashSet<>();
    for (Doubt doubt : doubts) {
      String function = doubt.function();
      if (function != null && (bound.contains(function) || Globals.exists(function))) {
        continue;
      }
      if (doubt.certain()) {
        throw new TemplateException(doubt.words(), TemplateException.Kind.SOURCE);
      }
      unknowns.add(doubt.words());
    }
    return List.copyOf(unknowns);
  }

  private void unknown(String what, String name, int line, boolean certain) {
    doubts.add(
        new Doubt(
            TemplateException.located(TemplateException.unknownWords(what, name), line),
            what.equals("function") ? name : null,
            certain && branches == 0));
  }

  /** What was noted from there on stands in a branch. */
  private void branch(int from) {
    for (int i = from; i < doubts.size(); i++) {
      Doubt doubt = doubts.get(i);
      doubts.set(i, new Doubt(doubt.words(), doubt.function(), false));
    }
  }

  private <T> T branch(Supplier<T> parsed) {
    branches++;
    T value = parsed.get();
    branches--;
    return value;
  }

  // Statements

  /** Statements up to a block that begins with one of the names, which is left in place. */
  private List<Statement> statements(Set<String> ends) {
    enter();
    List<Statement> all = new ArrayList<>();
    while (true) {
      Token token = peek();
      switch (token.kind()) {
        case DATA -> {
          at++;
          all.add(new Statement.Data(Text.template(token.value())));
        }
        case VARIABLE_BEGIN -> {
          at++;
          Expr expression = tuple();
          expect(Kind.VARIABLE_END);
          all.add(new Statement.Output(expression, token.line()));
        }
        case BLOCK_BEGIN -> {
          Token name = tokens.get(at + 1);
          if (name.kind() == Kind.NAME && ends.contains(name.value())) {
            depth--;
            return all;
          }
          at++;
          block(all);
        }
        case END -> {
          if (!ends.isEmpty()) {
            throw unexpected("one of " + ends.stream().sorted().toList());
          }
          depth--;
          return all;
        }
        default -> throw unexpected("text or a tag");
      }
    }
  }

  private void block(List<Statement> all) {
    Token name = next();
    if (name.kind() != Kind.NAME) {
      throw error("a tag must begin with a name, not " + name, name);
    }
    switch (name.value()) {
      case "if" -> all.add(conditional(name.line()));
      case "for" -> all.add(loop(name.line()));
      case "set" -> all.add(set(name.line()));
      case "macro" -> {
        String macro = expect(Kind.NAME).value();
        all.add(macro(macro, "endmacro"));
      }
      case "call" -> all.add(call(name.line()));
      case "filter" -> {
        Expr filtered = filters(new Expr.Name(BLOCK_TEXT), true);
        expect(Kind.BLOCK_END);
        all.add(new Statement.FilterBlock(filtered, body("endfilter"), name.line()));
      }
      case "with" -> all.add(with(name.line()));
      case "block" -> {
        expect(Kind.NAME);
        while (peek().isName("scoped") || peek().isName("required")) {
          at++;
        }
        expect(Kind.BLOCK_END);
        List<Statement> body = statements(Set.of("endblock"));
        at += 2;
        if (peek().kind() == Kind.NAME) {
          at++;
        }
        expect(Kind.BLOCK_END);
        all.add(new Statement.Block(body));
      }
      case "autoescape" -> {
        boolean off = peek().isName("false") || peek().isName("False");
        expression();
        expect(Kind.BLOCK_END);
        if (!off) {
          unknown("tag", "autoescape", name.line(), true);
          all.add(new Statement.Unsupported("autoescape", name.line()));
        }
        all.add(new Statement.Block(body("endautoescape")));
      }
      case "generation" -> {
        // Marks the assistant's words for training; it changes nothing in the text.
        expect(Kind.BLOCK_END);
        all.addAll(body("endgeneration"));
      }
      case "break", "continue" -> {
        if (loops == 0) {
          throw error("'" + name.value() + "' outside a loop", name);
        }
        expect(Kind.BLOCK_END);
        all.add(name.value().equals("break") ? new Statement.Break() : new Statement.Continue());
      }
      default -> {
        if (!OTHER_TEMPLATES.contains(name.value())) {
          throw error("unknown tag: " + name.value(), name);
        }
        while (peek().kind() != Kind.BLOCK_END && peek().kind() != Kind.END) {
          at++;
        }
        expect(Kind.BLOCK_END);
        unknown("tag", name.value(), name.line(), true);
        all.add(new Statement.Unsupported(name.value(), name.line()));
      }
    }
  }

  private List<Statement> body(String end) {
    List<Statement> body = statements(Set.of(end));
    at += 2;
    expect(Kind.BLOCK_END);
    return body;
  }

  private Statement conditional(int line) {
    List<@Nullable Expr> conditions = new ArrayList<>();
    List<List<Statement>> bodies = new ArrayList<>();
    conditions.add(tuple());
    expect(Kind.BLOCK_END);
    return branch(
        () -> {
          while (true) {
            bodies.add(statements(Set.of("elif", "else", "endif")));
            at++;
            String name = next().value();
            if (name.equals("endif")) {
              expect(Kind.BLOCK_END);
              return new Statement.If(conditions, bodies, line);
            }
            conditions.add(name.equals("elif") ? tuple() : null);
            expect(Kind.BLOCK_END);
            if (name.equals("else")) {
              bodies.add(body("endif"));
              return new Statement.If(conditions, bodies, line);
            }
          }
        });
  }

  private Statement loop(int line) {
    Target target = target(false);
    expectName("in");
    Expr iterable = tupleWithoutCondition();
    return branch(() -> loop(target, iterable, line));
  }

  /** The rest of a loop: what is done for each element, of which there may be none. */
  private Statement loop(Target target, Expr iterable, int line) {
    Expr condition = null;
    if (peek().isName("if")) {
      at++;
      condition = expression();
    }
    boolean recursive = peek().isName("recursive");
    if (recursive) {
      at++;
    }
    expect(Kind.BLOCK_END);
    loops++;
    List<Statement> body = statements(Set.of("else", "endfor"));
    loops--;
    at++;
    List<Statement> otherwise = List.of();
    if (next().value().equals("else")) {
      expect(Kind.BLOCK_END);
      otherwise = body("endfor");
    } else {
      expect(Kind.BLOCK_END);
    }
    return new Statement.For(target, iterable, condition, recursive, body, otherwise, line);
  }

  private Statement set(int line) {
    Target target = target(true);
    if (peek().isOperator("=")) {
      at++;
      Expr value = tuple();
      expect(Kind.BLOCK_END);
      return new Statement.SetValue(target, value, line);
    }
    Expr filtered = null;
    if (peek().isOperator("|")) {
      filtered = filters(new Expr.Name(BLOCK_TEXT), false);
    }
    expect(Kind.BLOCK_END);
    return new Statement.SetBlock(target, filtered, body("endset"), line);
  }

  private Target target(boolean members) {
    enter();
    List<Target> targets = new ArrayList<>();
    boolean several = false;
    while (true) {
      if (peek().isOperator("(")) {
        at++;
        targets.add(target(members));
        expectOperator(")");
      } else {
        String name = expect(Kind.NAME).value();
        if (members && peek().isOperator(".")) {
          at++;
          targets.add(new Target.Member(name, expect(Kind.NAME).value()));
        } else {
          bound.add(name);
          targets.add(new Target.Variable(name));
        }
      }
      if (!peek().isOperator(",")) {
        break;
      }
      at++;
      several = true;
      if (peek().kind() != Kind.NAME && !peek().isOperator("(")) {
        break;
      }
    }
    depth--;
    return several ? new Target.Unpack(targets) : targets.getFirst();
  }

  private Statement.MacroDefinition macro(String name, String end) {
    bound.add(name);
    return branch(() -> macroDefinition(name, end));
  }

  private Statement.MacroDefinition macroDefinition(String name, String end) {
    List<String> parameters = new ArrayList<>();
    List<@Nullable Expr> defaults = new ArrayList<>();
    if (peek().isOperator("(")) {
      at++;
      while (!peek().isOperator(")")) {
        if (!parameters.isEmpty()) {
          expectOperator(",");
        }
        String parameter = expect(Kind.NAME).value();
        bound.add(parameter);
        parameters.add(parameter);
        if (peek().isOperator("=")) {
          at++;
          defaults.add(expression());
        } else {
          defaults.add(null);
        }
      }
      at++;
    }
    expect(Kind.BLOCK_END);
    int outer = loops;
    loops = 0;
    List<Statement> body = body(end);
    loops = outer;
    return new Statement.MacroDefinition(name, parameters, defaults, body);
  }

  private Statement call(int line) {
    int start = at;
    // Parameters of the caller stand before the call, but its body follows it.
    List<String> parameters = new ArrayList<>();
    List<@Nullable Expr> defaults = new ArrayList<>();
    if (peek().isOperator("(")) {
      at++;
      while (!peek().isOperator(")")) {
        if (!parameters.isEmpty()) {
          expectOperator(",");
        }
        String parameter = expect(Kind.NAME).value();
        bound.add(parameter);
        parameters.add(parameter);
        defaults.add(null);
      }
      at++;
    }
    if (!(expression() instanceof Expr.Call call)) {
      throw error("a call block needs a call", tokens.get(start));
    }
    expect(Kind.BLOCK_END);
    int outer = loops;
    loops = 0;
    List<Statement> body = branch(() -> body("endcall"));
    loops = outer;
    return new Statement.CallBlock(
        new Statement.MacroDefinition("caller", parameters, defaults, body), call, line);
  }

  private Statement with(int line) {
    List<Target> targets = new ArrayList<>();
    List<Expr> values = new ArrayList<>();
    while (peek().kind() != Kind.BLOCK_END) {
      if (!targets.isEmpty()) {
        expectOperator(",");
      }
      String name = expect(Kind.NAME).value();
      bound.add(name);
      targets.add(new Target.Variable(name));
      expectOperator("=");
      values.add(expression());
    }
    expect(Kind.BLOCK_END);
    return new Statement.With(targets, values, body("endwith"), line);
  }

  // Expressions

  /** One expression, or several with commas between them, which are a list. */
  private Expr tuple() {
    Expr first = expression();
    if (!peek().isOperator(",")) {
      return first;
    }
    List<Expr> items = new ArrayList<>(List.of(first));
    while (peek().isOperator(",")) {
      at++;
      if (endsTuple()) {
        break;
      }
      items.add(expression());
    }
    return new Expr.ListOf(items, true);
  }

  private boolean endsTuple() {
    Token token = peek();
    return token.kind() == Kind.VARIABLE_END
        || token.kind() == Kind.BLOCK_END
        || token.isOperator(")");
  }

  /** The iterable of a loop: an {@code if} behind it is the loop's. */
  private Expr tupleWithoutCondition() {
    Expr first = or();
    if (!peek().isOperator(",")) {
      return first;
    }
    List<Expr> items = new ArrayList<>(List.of(first));
    while (peek().isOperator(",")) {
      at++;
      items.add(or());
    }
    return new Expr.ListOf(items, true);
  }

  private Expr expression() {
    enter();
    int start = doubts.size();
    Expr value = or();
    while (peek().isName("if")) {
      at++;
      branch(start);
      Expr condition = or();
      Expr otherwise = null;
      if (peek().isName("else")) {
        at++;
        otherwise = branch(this::expression);
      }
      value = new Expr.Conditional(condition, value, otherwise);
    }
    depth--;
    return value;
  }

  private Expr or() {
    Expr left = and();
    while (peek().isName("or")) {
      at++;
      left = new Expr.Or(left, branch(this::and));
    }
    return left;
  }

  private Expr and() {
    Expr left = not();
    while (peek().isName("and")) {
      at++;
      left = new Expr.And(left, branch(this::not));
    }
    return left;
  }

  private Expr not() {
    if (peek().isName("not") && !tokens.get(at + 1).isName("in")) {
      at++;
      enter();
      Expr operand = not();
      depth--;
      return new Expr.Not(operand);
    }
    return compare();
  }

  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");

  private Expr compare() {
    Expr first = sum();
    List<String> operators = new ArrayList<>();
    List<Expr> others = new ArrayList<>();
    while (true) {
      Token token = peek();
      if (token.kind() == Kind.OPERATOR && COMPARISONS.contains(token.value())) {
        at++;
        operators.add(token.value());
      } else if (token.isName("in")) {
        at++;
        operators.add("in");
      } else if (token.isName("not") && tokens.get(at + 1).isName("in")) {
        at += 2;
        operators.add("not in");
      } else {
        break;
      }
      others.add(others.isEmpty() ? sum() : branch(this::sum));
    }
    return operators.isEmpty() ? first : new Expr.Compare(first, operators, others);
  }

  private Expr sum() {
    Expr left = concat();
    while (peek().isOperator("+") || peek().isOperator("-")) {
      String operator = next().value();
      left = new Expr.Arithmetic(operator, left, concat());
    }
    return left;
  }

  private Expr concat() {
    Expr first = product();
    if (!peek().isOperator("~")) {
      return first;
    }
    List<Expr> parts = new ArrayList<>(List.of(first));
    while (peek().isOperator("~")) {
      at++;
      parts.add(product());
    }
    return new Expr.Concat(parts);
  }

  private static final Set<String> PRODUCTS = Set.of("*", "/", "//", "%");

  private Expr product() {
    Expr left = power();
    while (peek().kind() == Kind.OPERATOR && PRODUCTS.contains(peek().value())) {
      String operator = next().value();
      left = new Expr.Arithmetic(operator, left, power());
    }
    return left;
  }

  private Expr power() {
    Expr left = unary(true);
    while (peek().isOperator("**")) {
      at++;
      left = new Expr.Arithmetic("**", left, unary(true));
    }
    return left;
  }

  private Expr unary(boolean filtered) {
    enter();
    Expr value;
    if (peek().isOperator("-")) {
      at++;
      value = new Expr.Negate(unary(false));
    } else if (peek().isOperator("+")) {
      at++;
      value = new Expr.Plus(unary(false));
    } else {
      value = primary();
    }
    value = postfix(value);
    depth--;
    return filtered ? filters(value, false) : value;
  }

  private Expr primary() {
    Token token = next();
    return switch (token.kind()) {
      case NAME ->
          switch (token.value()) {
            case "true", "True" -> new Expr.Constant(true);
            case "false", "False" -> new Expr.Constant(false);
            case "none", "None" -> new Expr.Constant(None.NONE);
            default -> new Expr.Name(token.value());
          };
      case STRING -> {
        StringBuilder text = new StringBuilder(token.value());
        while (peek().kind() == Kind.STRING) {
          text.append(next().value());
        }
        yield new Expr.Constant(Text.template(text.toString()));
      }
      case INTEGER -> new Expr.Constant(integer(token));
      case FLOAT -> new Expr.Constant(Double.valueOf(token.value()));
      case OPERATOR ->
          switch (token.value()) {
            case "(" -> parenthesised();
            case "[" -> new Expr.ListOf(items("]"), false);
            case "{" -> dict();
            default -> throw error("unexpected " + token, token);
          };
      default -> throw error("unexpected " + token, token);
    };
  }

  private static Object integer(Token token) {
    Object value = Numbers.parse(token.value(), 0);
    if (value == null) {
      throw error("the number " + token.value() + " is not an integer, or too large", token);
    }
    return value;
  }

  private Expr parenthesised() {
    if (peek().isOperator(")")) {
      at++;
      return new Expr.ListOf(List.of(), true);
    }
    Expr value = tuple();
    expectOperator(")");
    return value;
  }

  private List<Expr> items(String close) {
    List<Expr> items = new ArrayList<>();
    while (!peek().isOperator(close)) {
      if (!items.isEmpty()) {
        expectOperator(",");
        if (peek().isOperator(close)) {
          break;
        }
      }
      items.add(expression());
    }
    at++;
    return items;
  }

  private Expr dict() {
    List<Expr> keys = new ArrayList<>();
    List<Expr> values = new ArrayList<>();
    while (!peek().isOperator("}")) {
      if (!keys.isEmpty()) {
        expectOperator(",");
        if (peek().isOperator("}")) {
          break;
        }
      }
      keys.add(expression());
      expectOperator(":");
      values.add(expression());
    }
    at++;
    return new Expr.DictOf(keys, values);
  }

  private Expr postfix(Expr start) {
    Expr value = start;
    while (true) {
      if (peek().isOperator(".")) {
        at++;
        Token name = next();
        if (name.kind() == Kind.NAME) {
          value = new Expr.Attribute(value, name.value());
        } else if (name.kind() == Kind.INTEGER) {
          value = new Expr.Item(value, new Expr.Constant(integer(name)));
        } else {
          throw error("a name must follow '.', not " + name, name);
        }
      } else if (peek().isOperator("[")) {
        at++;
        value = subscript(value);
      } else if (peek().isOperator("(")) {
        value = call(value);
      } else {
        return value;
      }
    }
  }

  private Expr call(Expr target) {
    int line = next().line();
    if (target instanceof Expr.Name name) {
      unknown("function", name.name(), line, true);
    }
    return new Expr.Call(target, arguments(), line);
  }

  private Expr subscript(Expr target) {
    Expr from = null;
    if (!peek().isOperator(":")) {
      from = expression();
      if (!peek().isOperator(":")) {
        expectOperator("]");
        return new Expr.Item(target, from);
      }
    }
    at++;
    Expr to = null;
    if (!peek().isOperator(":") && !peek().isOperator("]")) {
      to = expression();
    }
    Expr step = null;
    if (peek().isOperator(":")) {
      at++;
      if (!peek().isOperator("]")) {
        step = expression();
      }
    }
    expectOperator("]");
    return new Expr.Slice(target, from, to, step);
  }

  /** The arguments behind an opening parenthesis. */
  private Arguments arguments() {
    List<Expr> positional = new ArrayList<>();
    List<String> names = new ArrayList<>();
    List<Expr> named = new ArrayList<>();
    boolean first = true;
    while (!peek().isOperator(")")) {
      if (!first) {
        expectOperator(",");
        if (peek().isOperator(")")) {
          break;
        }
      }
      first = false;
      if (peek().kind() == Kind.NAME && tokens.get(at + 1).isOperator("=")) {
        names.add(next().value());
        at++;
        named.add(expression());
      } else if (names.isEmpty()) {
        positional.add(expression());
      } else {
        throw unexpected("a named argument");
      }
    }
    at++;
    return new Arguments(positional, names, named);
  }

  /**
   * Filters and tests behind a value.
   *
   * @param named a filter's name comes first, without a bar (the filter block)
   */
  private Expr filters(Expr start, boolean named) {
    Expr value = start;
    boolean first = named;
    while (true) {
      if (first || peek().isOperator("|")) {
        at += first ? 0 : 1;
        first = false;
        Token name = expect(Kind.NAME);
        if (!Filters.exists(name.value())) {
          unknown("filter", name.value(), name.line(), true);
        }
        Arguments arguments = Arguments.NONE;
        if (peek().isOperator("(")) {
          at++;
          arguments = arguments();
        }
        namedIn(name, arguments);
        value = new Expr.Filter(value, name.value(), arguments, name.line());
      } else if (peek().isName("is")) {
        at++;
        value = test(value);
      } else if (peek().isOperator("(")) {
        value = call(value);
      } else {
        return value;
      }
    }
  }

  /**
   * The filter or test that a filter is given by name. No element of it may be there to need it.
   */
  private void namedIn(Token filter, Arguments arguments) {
    switch (filter.value()) {
      case "map" -> namedIn("filter", Filters::exists, arguments, 0, filter.line());
      case "select", "reject" -> namedIn("test", Tests::exists, arguments, 0, filter.line());
      case "selectattr", "rejectattr" ->
          namedIn("test", Tests::exists, arguments, 1, filter.line());
      default -> {}
    }
  }

  private void namedIn(
      String what, Predicate<String> exists, Arguments arguments, int position, int line) {
    if (position < arguments.positional().size()
        && arguments.positional().get(position) instanceof Expr.Constant constant
        && constant.value() instanceof Text name
        && !exists.test(name.toString())) {
      unknown(what, name.toString(), line, false);
    }
  }

  private static final Set<String> NO_ARGUMENT =
      Set.of("else", "or", "and", "is", "not", "in", "if");

  private Expr test(Expr value) {
    boolean negated = peek().isName("not");
    if (negated) {
      at++;
    }
    Token name = next();
    if (name.kind() != Kind.NAME) {
      throw error("a test must have a name, not " + name, name);
    }
    if (!Tests.exists(name.value())) {
      unknown("test", name.value(), name.line(), true);
    }
    Arguments arguments = Arguments.NONE;
    Token token = peek();
    boolean bare =
        switch (token.kind()) {
          case STRING, INTEGER, FLOAT -> true;
          case NAME -> !NO_ARGUMENT.contains(token.value());
          case OPERATOR -> token.value().equals("[") || token.value().equals("{");
          default -> false;
        };
    if (token.isOperator("(")) {
      at++;
      arguments = arguments();
    } else if (bare) {
      enter();
      arguments = new Arguments(List.of(postfix(primary())), List.of(), List.of());
      depth--;
    }
    return new Expr.Test(value, name.value(), arguments, negated, name.line());
  }

  // Tokens

  private Token peek() {
    return tokens.get(at);
  }

  private Token next() {
    Token token = tokens.get(at);
    if (token.kind() != Kind.END) {
      at++;
    }
    return token;
  }

  private Token expect(Kind kind) {
    if (peek().kind() != kind) {
      String wanted =
          switch (kind) {
            case BLOCK_END -> "'%}'";
            case VARIABLE_END -> "'}}'";
            default -> "a " + kind.name().toLowerCase(java.util.Locale.ROOT);
          };
      throw unexpected(wanted);
    }
    return next();
  }

  private void expectOperator(String operator) {
    if (!peek().isOperator(operator)) {
      throw unexpected("'" + operator + "'");
    }
    at++;
  }

  private void expectName(String name) {
    if (!peek().isName(name)) {
      throw unexpected("'" + name + "'");
    }
    at++;
  }

  private void enter() {
    if (++depth > maxDepth) {
      throw error("the template nests deeper than the limit of " + maxDepth, peek());
    }
  }

  private TemplateException unexpected(String wanted) {
    return error("expected " + wanted + " but found " + peek(), peek());
  }

  private static TemplateException error(String message, Token token) {
    return new TemplateException(
        TemplateException.located(message, token.line()), TemplateException.Kind.SOURCE);
  }
}
