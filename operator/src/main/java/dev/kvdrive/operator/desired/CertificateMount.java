package dev.kvdrive.operator.desired;

import dev.kvdrive.api.v1alpha1.ConfigMapKey;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeBuilder;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.api.model.VolumeMountBuilder;

/**
 * Certificates of authorities that the runtime's container finds in a folder of its own.
 *
 * @param volume name of the pod's volume
 * @param directory where it is mounted
 */
record CertificateMount(String volume, String directory) {
  private static final String FILE = "ca.crt";

  /** Path of the certificates in the container. */
  String file() {
    return directory + "/" + FILE;
  }

  VolumeMount mount() {
    return new VolumeMountBuilder()
        .withName(volume)
        .withMountPath(directory)
        .withReadOnly(true)
        .build();
  }

  /** The volume, with what a ConfigMap has under a key. */
  Volume volume(ConfigMapKey bundle) {
    return new VolumeBuilder()
        .withName(volume)
        .withNewConfigMap()
        .withName(bundle.name())
        .addNewItem(bundle.key(), null, FILE)
        .endConfigMap()
        .build();
  }
}
