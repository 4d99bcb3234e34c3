/**
 * Jinja as the authors of chat templates write it: the language of jinja2 with {@code trim_blocks}
 * and {@code lstrip_blocks}, in the immutable sandbox that Hugging Face transformers renders
 * templates in. Templates are not trusted: parsing and rendering have limits. Texts remember which
 * of their characters are data, so that the encoder can tell a template's control tokens from a
 * user's text.
 */
@NullMarked
package dev.kvdrive.text.template;

import org.jspecify.annotations.NullMarked;
