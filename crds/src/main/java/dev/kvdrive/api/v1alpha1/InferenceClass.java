package dev.kvdrive.api.v1alpha1;

import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Categories;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Version;
import org.jspecify.annotations.Nullable;

/**
 * What the platform team provides and allows: device, runtime image, storage classes, limits and
 * the tenants that may use it. Cluster-scoped, like a StorageClass. The class named {@code default}
 * serves deployments that name none.
 */
@Group(InferenceDeployment.GROUP)
@Version(InferenceDeployment.VERSION)
@ShortNames("infc")
@Categories("kvdrive")
@AdditionalPrinterColumn(
    name = "Device",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".spec.device")
@AdditionalPrinterColumn(
    name = "StorageClass",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".spec.storage.defaultClassName")
@AdditionalPrinterColumn(
    name = "Age",
    type = AdditionalPrinterColumn.Type.DATE,
    jsonPath = ".metadata.creationTimestamp")
public class InferenceClass extends CustomResource<InferenceClassSpec, Void> {
  private static final long serialVersionUID = 1;

  /** The class of deployments that name none. */
  public static final String DEFAULT_NAME = "default";

  /** A specification is a record and has no empty instance. */
  @Override
  protected @Nullable InferenceClassSpec initSpec() {
    return null;
  }
}
