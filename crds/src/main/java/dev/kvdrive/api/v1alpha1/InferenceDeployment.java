package dev.kvdrive.api.v1alpha1;

import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.kubernetes.api.model.Namespaced;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Categories;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Version;
import org.jspecify.annotations.Nullable;

/**
 * A long-context language-model endpoint: a model, a context length, a concurrency and the bytes of
 * three tiers. The operator proves that they fit and runs them.
 */
@Group(InferenceDeployment.GROUP)
@Version(InferenceDeployment.VERSION)
@ShortNames("infd")
@Categories("kvdrive")
@AdditionalPrinterColumn(
    name = "Ready",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".status.conditions[?(@.type=='Ready')].status")
@AdditionalPrinterColumn(
    name = "Reason",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".status.conditions[?(@.type=='Ready')].reason")
@AdditionalPrinterColumn(
    name = "Model",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".spec.model.uri")
@AdditionalPrinterColumn(
    name = "Context",
    type = AdditionalPrinterColumn.Type.INTEGER,
    jsonPath = ".spec.contextLength")
@AdditionalPrinterColumn(
    name = "Concurrency",
    type = AdditionalPrinterColumn.Type.INTEGER,
    jsonPath = ".spec.concurrency",
    priority = 1)
@AdditionalPrinterColumn(
    name = "GPU",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".spec.tiers.gpu.memory",
    priority = 1)
@AdditionalPrinterColumn(
    name = "DRAM",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".spec.tiers.dram.size",
    priority = 1)
@AdditionalPrinterColumn(
    name = "NVMe",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".spec.tiers.nvme.size",
    priority = 1)
@AdditionalPrinterColumn(
    name = "URL",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".status.url")
@AdditionalPrinterColumn(
    name = "Age",
    type = AdditionalPrinterColumn.Type.DATE,
    jsonPath = ".metadata.creationTimestamp")
@AdditionalPrinterColumn(
    name = "Message",
    type = AdditionalPrinterColumn.Type.STRING,
    jsonPath = ".status.conditions[?(@.type=='Ready')].message",
    priority = 1)
public class InferenceDeployment
    extends CustomResource<InferenceDeploymentSpec, InferenceDeploymentStatus>
    implements Namespaced {
  private static final long serialVersionUID = 1;

  public static final String GROUP = "kvdrive.dev";
  public static final String VERSION = "v1alpha1";

  /** Longest name: what Kubernetes leaves of a label's 63 characters for the owner of a pod. */
  public static final int MAX_NAME = 52;

  /** A specification is a record and has no empty instance. */
  @Override
  protected @Nullable InferenceDeploymentSpec initSpec() {
    return null;
  }

  @Override
  protected @Nullable InferenceDeploymentStatus initStatus() {
    return null;
  }
}
