/**
 * The custom resources {@code kvdrive.dev/v1alpha1} as Java values. What a user may write is
 * described here, once: the descriptions, defaults, bounds and rules of these types become the
 * custom resource definitions in {@code crds/src/main/crds} and in the chart.
 *
 * <p>Field names are the API; a component that is {@code @Nullable} may be left out by the user.
 */
@NullMarked
package dev.kvdrive.api.v1alpha1;

import org.jspecify.annotations.NullMarked;
