package dev.kvdrive.cpu;

import static dev.kvdrive.cpu.CpuOperations.address;
import static dev.kvdrive.cpu.CpuOperations.requireF32;
import static dev.kvdrive.cpu.CpuOperations.stride;
import static dev.kvdrive.cpu.CpuOperations.submit;

import dev.kvdrive.device.AttentionOperations;
import dev.kvdrive.device.LayerStep;
import dev.kvdrive.device.Pass;
import dev.kvdrive.device.Queue;

/** Attention of steps and of prompts. */
final class CpuAttention implements AttentionOperations {
  private final StepAttention step;
  private final CausalAttention causal;

  CpuAttention(ComputePool pool, ThreadScratch[] scratch) {
    step = new StepAttention(pool, scratch);
    causal = new CausalAttention(pool, scratch);
  }

  @Override
  public void begin(Queue queue, Begin a) {
    requireF32(a.query());
    LayerStep of = a.step();
    submit(
        queue,
        step.begin(
            new StepRows(of.batch()),
            new KvMemory(of.layer()),
            a.shape(),
            address(a.query()),
            stride(a.query()),
            a.state()));
  }

  @Override
  public void estimate(Queue queue, Estimate a) {
    requireF32(a.query());
    LayerStep of = a.step();
    submit(
        queue,
        step.estimate(
            new StepRows(of.batch()),
            new KvMemory(of.layer()),
            a.shape(),
            address(a.query()),
            stride(a.query()),
            new SelectionMemory(a.selection(), a.shape().kvHeads()),
            a.state()));
  }

  @Override
  public void hits(Queue queue, Attend a) {
    requireF32(a.query());
    Pass pass = a.of();
    submit(
        queue,
        step.attendHits(
            new StepRows(pass.batch()),
            new KvMemory(pass.layer()),
            a.shape(),
            address(a.query()),
            stride(a.query()),
            new SelectionMemory(pass),
            pass.pass(),
            a.state()));
  }

  @Override
  public void misses(Queue queue, Attend a) {
    requireF32(a.query());
    Pass pass = a.of();
    submit(
        queue,
        step.attendMisses(
            new StepRows(pass.batch()),
            new KvMemory(pass.layer()),
            a.shape(),
            address(a.query()),
            stride(a.query()),
            new SelectionMemory(pass),
            pass.pass(),
            a.state()));
  }

  @Override
  public void finish(Queue queue, Finish a) {
    requireF32(a.out());
    LayerStep of = a.step();
    submit(
        queue,
        step.finish(
            new StepRows(of.batch()),
            of.layer().layout().grid(),
            a.shape(),
            a.state(),
            address(a.out()),
            stride(a.out())));
  }

  @Override
  public void causal(Queue queue, Causal a) {
    requireF32(a.query(), a.out());
    submit(
        queue,
        () ->
            causal.attend(
                a.layer().layout(),
                a.shape(),
                a.scratch(),
                address(a.query()),
                stride(a.query()),
                a.start(),
                a.rows(),
                address(a.out()),
                stride(a.out())));
  }
}
