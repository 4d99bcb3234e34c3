/** One question about a long document, answered over three tiers before a person's eyes. */
@NullMarked
package dev.kvdrive.cli.demo;

import org.jspecify.annotations.NullMarked;
