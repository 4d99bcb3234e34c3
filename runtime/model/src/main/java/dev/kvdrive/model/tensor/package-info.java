/** What a model file stores: tensors, the types of their elements, and the rotation of a model. */
@NullMarked
package dev.kvdrive.model.tensor;

import org.jspecify.annotations.NullMarked;
