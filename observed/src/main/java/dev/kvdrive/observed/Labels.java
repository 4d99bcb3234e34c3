package dev.kvdrive.observed;

import dev.kvdrive.feasibility.Request;
import java.util.Map;
import java.util.TreeMap;

/** The labels by which objects are found. */
public final class Labels {
  public static final String MANAGED_BY = "app.kubernetes.io/managed-by";
  public static final String OPERATOR = "kvdrive-operator";
  public static final String NAME = "app.kubernetes.io/name";
  public static final String RUNTIME = "kvdrive-runtime";
  public static final String INSTANCE = "app.kubernetes.io/instance";

  /** Selects everything the operator made. */
  public static final String SELECT_MANAGED = MANAGED_BY + "=" + OPERATOR;

  /** Hash of the configuration a pod runs with; a change of it replaces the pods. */
  public static final String CONFIG_HASH = "kvdrive.dev/config-hash";

  /** Annotation of a workload: hash of the pod template that was asked for. */
  public static final String TEMPLATE_HASH = "kvdrive.dev/template-hash";

  /** Annotations that say what a pod counts against its namespace's quota, and of which class. */
  public static final String CLASS = "kvdrive.dev/class";

  public static final String GPU_BYTES = "kvdrive.dev/gpu-bytes";
  public static final String DRAM_BYTES = "kvdrive.dev/dram-bytes";
  public static final String NVME_BYTES = "kvdrive.dev/nvme-bytes";

  private Labels() {}

  /** What selects the pods of a deployment; never changes. */
  public static Map<String, String> selector(String deployment) {
    return new TreeMap<>(Map.of(NAME, RUNTIME, INSTANCE, deployment));
  }

  /** Labels of every object of a deployment. */
  public static Map<String, String> of(Request request) {
    Map<String, String> labels = selector(request.name());
    labels.put(MANAGED_BY, OPERATOR);
    return labels;
  }

  /** Labels of its pods: the user's, below the operator's own. */
  public static Map<String, String> ofPods(Request request) {
    Map<String, String> labels = new TreeMap<>(request.pod().labels());
    labels.putAll(of(request));
    return labels;
  }
}
