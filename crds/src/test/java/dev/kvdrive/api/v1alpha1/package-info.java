/** What the committed definitions promise, and the completion of what the generator leaves out. */
@NullMarked
package dev.kvdrive.api.v1alpha1;

import org.jspecify.annotations.NullMarked;
