package dev.kvdrive.text.template;

import dev.kvdrive.text.template.Expr.Arguments;
import dev.kvdrive.text.template.Statement.Target;
import dev.kvdrive.text.template.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Recursive descent over the tokens of a template, in the precedences of jinja2. */
final class Parser {

  /** Tags of jinja2 that need other templates, of which there are none. */
  private static final Set<String> OTHER_TEMPLATES = Set.of("include", "import", "from", "extends");

  /** The name under which the text of a filtered block stands in its expression. */
  static final String BLOCK_TEXT = "{block}";

  private final List<Token> tokens;
  private final int maxDepth;
  private int at;
  private int depth;
  private int loops;

  private Parser(List<Token> tokens, int maxDepth) {
    this.tokens = tokens;
    this.maxDepth = maxDepth;
  }

  static List<Statement> parse(String source, int maxDepth) {
    Parser parser = new Parser(Lexer.tokens(source), maxDepth);
    List<Statement> statements = parser.statements(Set.of());
    if (parser.peek().kind() != Kind.END) {
      throw parser.unexpected("the end of the template");
    }
    return statements;
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
    List<List<Statement>> branches = new ArrayList<>();
    conditions.add(tuple());
    expect(Kind.BLOCK_END);
    while (true) {
      branches.add(statements(Set.of("elif", "else", "endif")));
      at++;
      String name = next().value();
      if (name.equals("endif")) {
        expect(Kind.BLOCK_END);
        return new Statement.If(conditions, branches, line);
      }
      conditions.add(name.equals("elif") ? tuple() : null);
      expect(Kind.BLOCK_END);
      if (name.equals("else")) {
        branches.add(body("endif"));
        return new Statement.If(conditions, branches, line);
      }
    }
  }

  private Statement loop(int line) {
    Target target = target(false);
    expectName("in");
    Expr iterable = tupleWithoutCondition();
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
    List<String> parameters = new ArrayList<>();
    List<@Nullable Expr> defaults = new ArrayList<>();
    if (peek().isOperator("(")) {
      at++;
      while (!peek().isOperator(")")) {
        if (!parameters.isEmpty()) {
          expectOperator(",");
        }
        parameters.add(expect(Kind.NAME).value());
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
        parameters.add(expect(Kind.NAME).value());
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
    List<Statement> body = body("endcall");
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
      targets.add(new Target.Variable(expect(Kind.NAME).value()));
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
    Expr value = or();
    while (peek().isName("if")) {
      at++;
      Expr condition = or();
      Expr otherwise = null;
      if (peek().isName("else")) {
        at++;
        otherwise = expression();
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
      left = new Expr.Or(left, and());
    }
    return left;
  }

  private Expr and() {
    Expr left = not();
    while (peek().isName("and")) {
      at++;
      left = new Expr.And(left, not());
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
      others.add(sum());
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
        at++;
        value = new Expr.Call(value, arguments());
      } else {
        return value;
      }
    }
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
        String name = expect(Kind.NAME).value();
        Arguments arguments = Arguments.NONE;
        if (peek().isOperator("(")) {
          at++;
          arguments = arguments();
        }
        value = new Expr.Filter(value, name, arguments);
      } else if (peek().isName("is")) {
        at++;
        value = test(value);
      } else if (peek().isOperator("(")) {
        at++;
        value = new Expr.Call(value, arguments());
      } else {
        return value;
      }
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
    return new Expr.Test(value, name.value(), arguments, negated);
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
    return new TemplateException(message + " (line " + token.line() + ")");
  }
}
