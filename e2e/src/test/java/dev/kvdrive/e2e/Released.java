package dev.kvdrive.e2e;

import java.nio.file.Path;

/**
 * The recorded release to upgrade from, as {@code e2e/run.sh --upgrade} tells it.
 *
 * @param version its name
 * @param chart its chart's folder
 * @param operatorImage its image of the operator, present in the cluster
 * @param runtimeImage its image of the runtime, likewise
 */
record Released(String version, Path chart, String operatorImage, String runtimeImage) {
  static Released read() {
    return new Released(
        Settings.property("released", null),
        Path.of(Settings.property("releasedChart", null)),
        Settings.property("releasedOperatorImage", null),
        Settings.property("releasedRuntimeImage", null));
  }
}
