package dev.kvdrive.text;

/** A model's tokenizer data is missing, broken or of a kind that is not supported. */
public class TokenizerException extends RuntimeException {

  public TokenizerException(String message) {
    super(message);
  }

  public TokenizerException(String message, Throwable cause) {
    super(message, cause);
  }
}
