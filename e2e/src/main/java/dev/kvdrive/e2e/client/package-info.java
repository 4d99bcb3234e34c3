/** What the tests run in a pod of the cluster: a caller of the API. Nothing but the JDK. */
@NullMarked
package dev.kvdrive.e2e.client;

import org.jspecify.annotations.NullMarked;
