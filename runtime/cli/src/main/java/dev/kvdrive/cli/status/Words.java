package dev.kvdrive.cli.status;

import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Conditions in human words, and what helps against their reasons. */
final class Words {
  private record Sentences(String holds, String holdsNot, String unknown) {}

  private static final Map<String, Sentences> OF_CONDITIONS =
      Map.ofEntries(
          Map.entry(
              "Ready",
              new Sentences("it serves", "it does not serve", "nobody knows whether it serves")),
          Map.entry(
              "Feasible",
              new Sentences(
                  "it fits, and is allowed",
                  "it does not fit, or is not allowed",
                  "not judged yet whether it fits")),
          Map.entry(
              "ModelAvailable",
              new Sentences(
                  "the model is there",
                  "the model is not there",
                  "not known whether the model is there")),
          Map.entry(
              "StorageBound",
              new Sentences(
                  "the volumes are bound",
                  "a volume is not as it must be",
                  "not known whether the volumes are bound")),
          Map.entry(
              "RuntimeReady",
              new Sentences(
                  "every pod serves", "not every pod serves", "not known whether the pods serve")),
          Map.entry(
              "RouteReady",
              new Sentences(
                  "the Gateways lead to it",
                  "a Gateway does not lead to it",
                  "not known whether the Gateways lead to it")),
          Map.entry("Reconciling", new Sentences("work is under way", "no work is under way", "")),
          Map.entry("Stalled", new Sentences("waiting will not help", "waiting may help", "")),
          Map.entry(
              "RolloutWaiting",
              new Sentences("a change waits for pods without requests", "no change waits", "")),
          Map.entry(
              "WritesSpent",
              new Sentences(
                  "the longest requests are refused for what was written to NVMe today", "", "")),
          Map.entry("Altered", new Sentences("others have added to its objects", "", "")));

  /** For each reason of the table in docs/kubernetes.md, which a test holds this to. */
  private static final Map<String, String> WAYS_OUT =
      Map.ofEntries(
          Map.entry("Unschedulable", "add a node that has what is missing, or lower the budgets"),
          Map.entry(
              "NoGpuFree",
              "end what holds a GPU, add a node, or have the class select others; rollout: InPlace where only a pod more is pending"),
          Map.entry("GpuUnusable", "mend the node, or runtimeClassName, gpu or image of the class"),
          Map.entry(
              "GpuTooSmall",
              "take the tier that the message names, set gpu.matchMemory in the class, or end what else uses the card"),
          Map.entry(
              "GpuFailed",
              "delete the pod for another card; if that fails too, look for Xid in the kernel log of the node, and kubectl cordon it"),
          Map.entry(
              "EngineFailed",
              "the pod's log says more, that of before its restart with logs --previous"),
          Map.entry(
              "ClaimTemplateNotFound",
              "create the ResourceClaimTemplate in this namespace; the pod goes on by itself"),
          Map.entry(
              "GatewayApiMissing", "install the Gateway API; the operator notices within seconds"),
          Map.entry(
              "InferencePoolMissing",
              "install the Gateway API Inference Extension; the operator notices within seconds"),
          Map.entry("GatewayApiUnknown", "give the operator the ClusterRole system:discovery"),
          Map.entry("RoutesDisabled", "whoever runs the operator sets routes.enabled"),
          Map.entry(
              "GatewaySilent", "check the Gateway's name and namespace: kubectl get gateways -A"),
          Map.entry("NotAllowedByListeners", "check allowedRoutes of the Gateway's listener"),
          Map.entry("NoMatchingListenerHostname", "check the hostname of the Gateway's listener"),
          Map.entry("WaitsForIdle", "wait, or set runtime.rollout: InPlace"),
          Map.entry("WaitsForPod", "see what RuntimeReady says"),
          Map.entry(
              "SecretNotFound", "create the Secret; the pod goes on by itself within two minutes"),
          Map.entry(
              "SecretKeyNotFound",
              "add the key to the Secret; the pod goes on by itself within two minutes"),
          Map.entry(
              "ConfigMapNotFound",
              "create the ConfigMap; the pod goes on by itself within two minutes"),
          Map.entry(
              "ConfigMapKeyNotFound",
              "add the key to the ConfigMap; the pod goes on by itself within two minutes"),
          Map.entry("ErrImagePull", "correct the image, or create the pull secret"),
          Map.entry("ImagePullBackOff", "correct the image, or create the pull secret"),
          Map.entry("RegistryUnavailable", "wait, or mend the registry"),
          Map.entry("SignatureValidationFailed", "sign the image, or change what the node demands"),
          Map.entry("ImageInspectError", "mend it on the node"),
          Map.entry("FailedMount", "mend it on the node or at the volume"),
          Map.entry("FailedAttachVolume", "mend it on the node or at the volume"),
          Map.entry("FailedCreatePodSandBox", "mend it on the node"),
          Map.entry("Paused", "the command in the message"),
          Map.entry(
              "PodsRejected",
              "change the quota, policy or webhook that the message names, or keep to it"),
          Map.entry(
              "VolumeRejected",
              "change the quota, policy or webhook that the message names, or keep to it"),
          Map.entry("VolumeDeleted", "delete the pod: its successor gets a new, empty volume"),
          Map.entry(
              "ModelImageUnavailable",
              "what the message says: the image's tag or digest, its registry, or the pull secret"),
          Map.entry(
              "ImageVolumesUnsupported",
              "switch the feature ImageVolume on in the API server and the kubelets, or take a claim: pvc://CLAIM/PATH"),
          Map.entry("ModelDiffers", "state the geometry in the message, where it has one"),
          Map.entry("WaitsForOperator", "wait, or the command in the message"),
          Map.entry("NvmeFailing", "replace the disk; Ready comes back by itself"),
          Map.entry(
              "ImmutableField", "make a deployment of another name, or the command in the message"),
          Map.entry(
              "ObjectRefused",
              "change the specification, or take out what others have put into the objects"),
          Map.entry("ReconcileFailed", "give the operator what the message names; it tries again"));

  private Words() {}

  /** What a condition of a status says. */
  static String sentence(String type, String status) {
    Sentences sentences = OF_CONDITIONS.get(type);
    if (sentences == null) {
      return type + " is " + status;
    }
    return switch (status) {
      case "True" -> sentences.holds();
      case "False" -> sentences.holdsNot();
      default -> sentences.unknown();
    };
  }

  /** What helps against a reason, where its message does not say it already. */
  static Optional<String> wayOut(String reason) {
    return Optional.ofNullable(WAYS_OUT.get(reason));
  }

  /** The reasons that have a way out here. */
  static Set<String> reasons() {
    return WAYS_OUT.keySet();
  }
}
