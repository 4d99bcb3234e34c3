/** What options of several commands mean, and how their values are read. */
@NullMarked
package dev.kvdrive.cli.option;

import org.jspecify.annotations.NullMarked;
