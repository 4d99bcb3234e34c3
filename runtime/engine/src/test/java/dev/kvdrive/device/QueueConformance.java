package dev.kvdrive.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.device.IndexOperations.Merge;
import dev.kvdrive.model.tensor.RopeSpec;
import dev.kvdrive.plan.SummaryFormat;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** Queues are in order, events order them, graphs replay what was recorded. */
public abstract class QueueConformance extends DeviceConformance {
  @Test
  void transfersMoveTheBytesTheyNameAndNoOthers() {
    DeviceBuffer device = subject.ints("target", 1, 2, 3, 4, 5, 6);
    HostBuffer host = subject.allocateHost("staging", 64);
    for (int i = 0; i < 16; i++) {
      host.segment().setAtIndex(ValueLayout.JAVA_INT, i, 100 + i);
    }
    subject.queue.upload(host, 8, device, 4, 8);
    assertThat(subject.readInts(device)).containsExactly(1, 102, 103, 4, 5, 6);
    subject.queue.download(device, 12, host, 32, 8);
    subject.queue.synchronize();
    assertThat(host.segment().toArray(ValueLayout.JAVA_INT))
        .containsExactly(
            100, 101, 102, 103, 104, 105, 106, 107, 4, 5, 110, 111, 112, 113, 114, 115);
    DeviceBuffer other = subject.ints("other", 0, 0, 0, 0);
    subject.queue.copy(device, 4, other, 8, 8);
    assertThat(subject.readInts(other)).containsExactly(0, 0, 102, 103);
    subject.queue.copy(other, 8, other, 0, 8);
    assertThat(subject.readInts(other)).containsExactly(102, 103, 102, 103);
  }

  @Test
  void transfersOfOddLengthAndOffsetAreExact() {
    byte[] bytes = new byte[77];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) (i + 1);
    }
    DeviceBuffer source = subject.buffer("source", bytes);
    DeviceBuffer target = subject.allocate("target", 80);
    subject.queue.copy(source, 3, target, 1, 71);
    byte[] copied = subject.read(target);
    for (int i = 0; i < 80; i++) {
      assertThat(copied[i]).as("byte %d", i).isEqualTo(i >= 1 && i < 72 ? bytes[i + 2] : 0);
    }
  }

  @Test
  void fillSetsWords() {
    DeviceBuffer buffer = subject.ints("target", 1, 2, 3, 4, 5);
    subject.queue.fill(buffer, 4, 3, -1);
    assertThat(subject.readInts(buffer)).containsExactly(1, -1, -1, -1, 5);
    subject.queue.fill(buffer, 0, 0, 9);
    assertThat(subject.readInts(buffer)).containsExactly(1, -1, -1, -1, 5);
  }

  @Test
  void transfersOutsideOfABufferAreRefused() {
    DeviceBuffer device = subject.ints("small", 1, 2);
    HostBuffer host = subject.allocateHost("staging", 64);
    Queue queue = subject.queue;
    for (Runnable wrong :
        new Runnable[] {
          () -> queue.upload(host, 0, device, 4, 8),
          () -> queue.upload(host, 60, device, 0, 8),
          () -> queue.upload(host, -4, device, 0, 4),
          () -> queue.download(device, 0, host, 60, 8),
          () -> queue.download(device, 8, host, 0, 4),
          () -> queue.copy(device, 0, device, 4, -4),
          () -> queue.copy(device, Long.MAX_VALUE, device, 0, 4),
          () -> queue.fill(device, 0, 3, 0),
          () -> queue.fill(device, 2, 1, 0),
        }) {
      assertThatThrownBy(wrong::run).isInstanceOf(IllegalArgumentException.class);
    }
    assertThat(subject.readInts(device)).containsExactly(1, 2);
  }

  @Test
  void workRunsInTheOrderOfItsSubmission() {
    DeviceBuffer buffer = subject.allocate("counter", 4 << 10);
    HostBuffer seen = subject.allocateHost("seen", 4 << 10);
    for (int i = 1; i <= 200; i++) {
      subject.queue.fill(buffer, 0, 1 << 10, i);
      subject.queue.download(buffer, 4L * i, seen, 4L * i, 4);
    }
    subject.queue.synchronize();
    for (int i = 1; i <= 200; i++) {
      assertThat(seen.segment().getAtIndex(ValueLayout.JAVA_INT, i)).isEqualTo(i);
    }
  }

  @Test
  void eventsOrderQueues() {
    DeviceBuffer buffer = subject.allocate("passed on", 4 << 10);
    HostBuffer seen = subject.allocateHost("seen", 4 << 10);
    Queue other = subject.own(subject.device.createQueue("other"));
    Event written = subject.own(subject.device.createEvent());
    Event read = subject.own(subject.device.createEvent());
    assertThat(written.isDone()).as("a new event").isTrue();
    for (int i = 1; i <= 100; i++) {
      subject.queue.await(read);
      subject.queue.fill(buffer, 0, 1 << 10, i);
      subject.queue.record(written);
      other.await(written);
      other.download(buffer, 4L * i, seen, 4L * i, 4);
      other.record(read);
    }
    other.synchronize();
    subject.queue.synchronize();
    assertThat(written.isDone()).isTrue();
    assertThat(read.isDone()).isTrue();
    for (int i = 1; i <= 100; i++) {
      assertThat(seen.segment().getAtIndex(ValueLayout.JAVA_INT, i)).isEqualTo(i);
    }
  }

  @Test
  void aGraphDoesNothingUntilItIsLaunchedAndThenWhatItsBuffersSay() {
    DeviceBuffer in = subject.ints("in", 1, 2, 3);
    DeviceBuffer out = subject.ints("out", 0, 0, 0);
    subject.queue.copy(in, 0, out, 0, 12);
    subject.queue.fill(out, 0, 3, 0);
    Graph graph =
        subject.own(
            subject.queue.capture(
                () -> {
                  subject.queue.copy(in, 0, out, 0, 12);
                  subject.queue.fill(out, 4, 1, 77);
                }));
    assertThat(subject.readInts(out)).containsExactly(0, 0, 0);
    subject.queue.launch(graph);
    assertThat(subject.readInts(out)).containsExactly(1, 77, 3);
    subject.write(in, Rig.bytes(7, 8, 9));
    subject.queue.launch(graph);
    subject.queue.launch(graph);
    assertThat(subject.readInts(out)).containsExactly(7, 77, 9);
  }

  @Test
  void workOfAnotherQueueJoinsAGraphThroughEvents() {
    DeviceBuffer in = subject.ints("in", 1, 2, 3);
    DeviceBuffer middle = subject.ints("middle", 0, 0, 0);
    DeviceBuffer out = subject.ints("out", 0, 0, 0);
    Queue other = subject.own(subject.device.createQueue("other"));
    Event fork = subject.own(subject.device.createEvent());
    Event join = subject.own(subject.device.createEvent());
    Runnable work =
        () -> {
          subject.queue.copy(in, 0, middle, 0, 12);
          subject.queue.record(fork);
          other.await(fork);
          other.copy(middle, 0, out, 0, 8);
          other.record(join);
          subject.queue.await(join);
          subject.queue.copy(out, 0, middle, 8, 4);
        };
    work.run();
    subject.queue.synchronize();
    Graph graph = subject.own(subject.queue.capture(work));
    subject.write(in, Rig.bytes(5, 6, 7));
    assertThat(subject.readInts(out)).containsExactly(1, 2, 0);
    for (int round = 0; round < 3; round++) {
      subject.queue.launch(graph);
      assertThat(subject.readInts(middle)).containsExactly(5, 6, 5);
      assertThat(subject.readInts(out)).containsExactly(5, 6, 0);
    }
    other.fill(out, 0, 3, 1);
    other.synchronize();
    assertThat(subject.readInts(out)).as("the queue after the recording").containsExactly(1, 1, 1);
  }

  @Test
  void wrongShapesAreRefusedBeforeAnythingIsSubmitted() {
    Operations ops = subject.ops;
    Queue queue = subject.queue;
    Weight weight = subject.weight("weight", Blocks.of(4, 8, new float[32]));
    Weight gain = subject.vector("gain", 1, 1, 1, 1);
    Rig.Rows rows = subject.rows("rows", 2, 8, new float[16]);
    Rig.Rows out = subject.empty("out", 2, 4);
    ElementType otherType = activations() == ElementType.F32 ? ElementType.BF16 : ElementType.F32;
    Rig.Rows other = subject.empty("rows of another type", 2, 4, otherType);
    DeviceBuffer words = subject.ints("words", 1);
    RopeSpec rope = new RopeSpec(new float[] {1f, 0.5f}, 1, false);
    Activations huge = new Activations(out.view().buffer(), activations(), 0, Integer.MAX_VALUE);
    for (Runnable wrong :
        new Runnable[] {
          () ->
              ops.tensor()
                  .matmul(queue, new TensorOperations.Product(weight, rows.view(), 3, out.view())),
          () ->
              ops.tensor()
                  .matmul(queue, new TensorOperations.Product(weight, rows.view(), 0, out.view())),
          () ->
              ops.tensor()
                  .matmul(queue, new TensorOperations.Product(weight, rows.view(), 2, huge)),
          () ->
              ops.tensor()
                  .matmulAdd(
                      queue, new TensorOperations.Product(weight, rows.view(), -1, out.view())),
          () ->
              ops.tensor()
                  .logits(
                      queue, new TensorOperations.Product(weight, rows.view(), 200, out.view())),
          () ->
              ops.tensor()
                  .rmsNorm(
                      queue,
                      new TensorOperations.RmsNorm(rows.view(), gain, 1e-5f, 2, 8, rows.view())),
          () ->
              ops.tensor()
                  .headNorm(queue, new TensorOperations.HeadNorm(rows.view(), weight, 1e-5f, 2, 1)),
          () -> ops.tensor().addBias(queue, new TensorOperations.Bias(weight, rows.view(), 2)),
          () ->
              ops.tensor()
                  .embed(queue, new TensorOperations.Embed(weight, words, 1, 2, rows.view())),
          () ->
              ops.tensor()
                  .embed(
                      queue, new TensorOperations.Embed(weight, words, Float.NaN, 1, rows.view())),
          () -> ops.tensor().add(queue, new TensorOperations.Sum(rows.view(), 2, 0, out.view())),
          () -> ops.tensor().add(queue, new TensorOperations.Sum(rows.view(), 3, 8, out.view())),
          () -> ops.tensor().angles(queue, new TensorOperations.Angles(rope, words, 1, words)),
          () ->
              ops.tensor()
                  .rotate(queue, new TensorOperations.Rotation(rope, words, rows.view(), 2, 1, 8)),
          () ->
              ops.tensor()
                  .siluMultiply(
                      queue,
                      new TensorOperations.Gating(rows.view(), rows.view(), 2, 0, rows.view())),
          () ->
              ops.tensor()
                  .choose(queue, new TensorOperations.Choice(rows.view(), 2, 1000, words, words)),
          () -> ops.tensor().add(queue, new TensorOperations.Sum(other.view(), 2, 4, other.view())),
        }) {
      assertThatThrownBy(wrong::run).isInstanceOf(IllegalArgumentException.class);
    }
    LayerSizes sizes = LayerSizes.groups().getFirst();
    LayerContents contents = new LayerContents(sizes, activations(), 1, 80);
    LayerOnDevice layer = new LayerOnDevice(subject, contents);
    KvLayer kv = layer.layer;
    PrefillScratch scratch = new PrefillScratch(16, subject.allocate("scratch", 16));
    AttentionShape wide = new AttentionShape(2, 2, sizes.headDim() + 1, 1);
    StepBatch many =
        new StepBatch(
            sizes.rows() + 1,
            layer.batch.tokens(),
            layer.batch.positions(),
            layer.batch.seats(),
            layer.batch.selectCounts());
    Activations q = layer.query.view();
    KvLayer without =
        new KvLayer(
            kv.layout(),
            kv.layer(),
            kv.seats(),
            kv.maxChunks(),
            kv.dense(),
            new LayerIndex(SummaryFormat.none(), null),
            kv.window(),
            kv.frameOfExtent(),
            kv.lastUse());
    for (Runnable wrong :
        new Runnable[] {
          () -> ops.kv().reset(queue, new KvOperations.Reset(kv, sizes.seats())),
          () -> ops.kv().reset(queue, new KvOperations.Reset(kv, -1)),
          () -> ops.kv().seed(queue, new KvOperations.Seed(kv, scratch, 0, 16)),
          () ->
              ops.kv()
                  .close(
                      queue,
                      new KvOperations.Close(new PromptChunks(kv, scratch, 0, 1, 0), layer.frames)),
          () ->
              ops.index()
                  .score(
                      queue,
                      new IndexOperations.Score(
                          new LayerStep(layer.batch, kv),
                          wide,
                          q,
                          layer.selection,
                          Merge.LARGEST_SHARE)),
          () ->
              ops.index()
                  .score(
                      queue,
                      new IndexOperations.Score(
                          new LayerStep(many, kv),
                          sizes.shape(),
                          q,
                          layer.selection,
                          Merge.LARGEST_SHARE)),
          () ->
              ops.window()
                  .diff(queue, new Pass(new LayerStep(layer.batch, kv), layer.selection, -1)),
          () ->
              ops.window()
                  .diff(queue, new Pass(new LayerStep(layer.batch, kv), layer.selection, 100)),
          () ->
              ops.index()
                  .score(
                      queue,
                      new IndexOperations.Score(
                          new LayerStep(layer.batch, without),
                          sizes.shape(),
                          q,
                          layer.selection,
                          Merge.LARGEST_SHARE)),
          () ->
              ops.index()
                  .pin(
                      queue,
                      new IndexOperations.Pin(
                          new LayerStep(layer.batch, kv), layer.selection, 1, 4)),
          () ->
              ops.window()
                  .land(
                      queue,
                      new WindowOperations.Land(
                          new Pass(new LayerStep(layer.batch, kv), layer.selection, 0),
                          layer.mailbox,
                          -1)),
        }) {
      assertThatThrownBy(wrong::run).isInstanceOf(IllegalArgumentException.class);
    }
    queue.synchronize();
    assertThat(subject.read(out)).containsOnly(Float.NaN);
  }
}
