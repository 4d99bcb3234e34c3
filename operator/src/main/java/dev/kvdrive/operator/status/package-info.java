/**
 * From a verdict and what the cluster shows to the status. Pure functions; the clock is given.
 *
 * <pre>
 *   Ready             all of the following are True
 *     Feasible        the plan fits and the class allows it
 *     ModelAvailable  the model's files are there and valid
 *     StorageBound    every pod's NVMe volume is bound and as large as planned
 *     RuntimeReady    every pod of this generation serves
 *   Reconciling       present and True while the operator or the cluster is still working
 *   Stalled           present and True when waiting will not help
 * </pre>
 */
@NullMarked
package dev.kvdrive.operator.status;

import org.jspecify.annotations.NullMarked;
