package dev.kvdrive.operator.status;

/** Types of conditions, in the order in which they are shown. */
public final class ConditionTypes {
  public static final String READY = "Ready";
  public static final String FEASIBLE = "Feasible";
  public static final String MODEL_AVAILABLE = "ModelAvailable";
  public static final String STORAGE_BOUND = "StorageBound";
  public static final String RUNTIME_READY = "RuntimeReady";

  /** Gateways serve the route; there only with one. */
  public static final String ROUTE_READY = "RouteReady";

  public static final String RECONCILING = "Reconciling";
  public static final String STALLED = "Stalled";

  /** A changed specification waits for pods without requests; there only while it is True. */
  public static final String ROLLOUT_WAITING = "RolloutWaiting";

  /** Pods refuse long requests for what was written in a day; there only while it is True. */
  public static final String WRITES_SPENT = "WritesSpent";

  /** Somebody else has added to the objects; there only while it is True. */
  public static final String ALTERED = "Altered";

  private ConditionTypes() {}
}
