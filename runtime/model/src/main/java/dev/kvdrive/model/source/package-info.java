/** Where model files come from: local paths, the Hugging Face hub, the bundled model. */
@NullMarked
package dev.kvdrive.model.source;

import org.jspecify.annotations.NullMarked;
