package dev.kvdrive.cpu;

import static dev.kvdrive.cpu.CpuOperations.submit;

import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Queue;
import dev.kvdrive.device.WindowOperations;

/** Windows: keys, look-ups, and how misses come. */
final class CpuWindow implements WindowOperations {
  private final WindowDiff diff;
  private final MissFetch misses;

  CpuWindow(ComputePool pool, ThreadScratch[] scratch) {
    diff = new WindowDiff(pool, scratch);
    misses = new MissFetch(pool);
  }

  @Override
  public void key(Queue queue, Keys a) {
    LayerStep step = a.step();
    submit(
        queue,
        diff.key(
            new StepRows(step.batch()),
            new KvMemory(step.layer()),
            new SelectionMemory(a.selection(), step.layer().layout().kvHeads()),
            a.uses()));
  }

  @Override
  public void recent(Queue queue, Pass pass) {
    submit(
        queue,
        diff.recent(
            new StepRows(pass.batch()),
            new KvMemory(pass.layer()),
            new SelectionMemory(pass),
            pass.pass()));
  }

  @Override
  public void forget(Queue queue, Forget a) {
    LayerStep step = a.step();
    submit(
        queue,
        diff.forget(
            new StepRows(step.batch()),
            new KvMemory(step.layer()),
            new SelectionMemory(a.selection(), step.layer().layout().kvHeads()),
            a.which()));
  }

  @Override
  public void diff(Queue queue, Pass pass) {
    submit(
        queue,
        diff.diff(
            new StepRows(pass.batch()),
            new KvMemory(pass.layer()),
            new SelectionMemory(pass),
            pass.pass()));
  }

  @Override
  public void fetch(Queue queue, Fetch a) {
    Pass pass = a.of();
    submit(
        queue,
        misses.fetch(
            new StepRows(pass.batch()),
            new KvMemory(pass.layer()),
            new SelectionMemory(pass),
            pass.pass(),
            a.frames(),
            a.mailbox()));
  }

  @Override
  public void prefetch(Queue queue, Prefetch a) {
    Pass pass = a.of();
    submit(
        queue,
        misses.prefetch(
            new StepRows(pass.batch()),
            new KvMemory(pass.layer()),
            new SelectionMemory(pass),
            pass.pass(),
            a.frames(),
            a.marks() == null ? 0 : CpuBuffer.address(a.marks())));
  }

  @Override
  public void credit(Queue queue, Credit a) {
    Pass pass = a.of();
    submit(
        queue,
        diff.credit(
            new StepRows(pass.batch()),
            new KvMemory(pass.layer()),
            new SelectionMemory(pass),
            pass.pass(),
            CpuBuffer.address(a.marks())));
  }

  @Override
  public void observe(Queue queue, Observe a) {
    LayerStep step = a.step();
    submit(
        queue,
        diff.observe(
            new StepRows(step.batch()),
            new KvMemory(step.layer()),
            new SelectionMemory(a.selection(), step.layer().layout().kvHeads()),
            CpuBuffer.address(a.reuse().lastSelected()),
            CpuBuffer.address(a.reuse().ages())));
  }

  @Override
  public void trim(Queue queue, Trim a) {
    submit(
        queue,
        () -> WindowDiff.trim(new KvMemory(a.layer()), a.seat(), CpuBuffer.address(a.keep())));
  }

  @Override
  public void land(Queue queue, Land a) {
    submit(
        queue,
        misses.land(
            new KvMemory(a.of().layer()),
            new SelectionMemory(a.of()),
            a.mailbox(),
            a.timeoutMillis()));
  }
}
