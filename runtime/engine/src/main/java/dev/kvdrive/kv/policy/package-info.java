/**
 * Methods: what a step attends, what is kept to choose it by, and which chunks stay in the window.
 * One class each; nothing below knows of them.
 */
@NullMarked
package dev.kvdrive.kv.policy;

import org.jspecify.annotations.NullMarked;
