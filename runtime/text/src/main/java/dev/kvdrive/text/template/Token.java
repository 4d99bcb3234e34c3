package dev.kvdrive.text.template;

/**
 * A piece of a template's source.
 *
 * @param value text of data, name of an operator or name, unescaped content of a string
 */
record Token(Kind kind, String value, int line) {

  enum Kind {
    DATA,
    VARIABLE_BEGIN,
    VARIABLE_END,
    BLOCK_BEGIN,
    BLOCK_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean is(Kind wanted, String text) {
    return kind == wanted && value.equals(text);
  }

  boolean isOperator(String text) {
    return is(Kind.OPERATOR, text);
  }

  boolean isName(String text) {
    return is(Kind.NAME, text);
  }

  @Override
  public String toString() {
    return switch (kind) {
      case END -> "end of template";
      case VARIABLE_END -> "'}}'";
      case BLOCK_END -> "'%}'";
      default -> "'" + value + "'";
    };
  }
}
