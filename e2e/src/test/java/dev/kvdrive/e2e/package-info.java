/** KVDrive on a real cluster, through the doors its users take: helm, manifests, the Service. */
@NullMarked
package dev.kvdrive.e2e;

import org.jspecify.annotations.NullMarked;
