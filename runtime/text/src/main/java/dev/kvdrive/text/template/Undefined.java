package dev.kvdrive.text.template;

/**
 * What a name, attribute or key that does not exist evaluates to: empty when written or looped
 * over, false in a condition, an error in anything else.
 *
 * @param name what was looked up
 */
record Undefined(String name) {

  TemplateException used() {
    return new TemplateException("'" + name + "' is undefined");
  }
}
