package dev.kvdrive.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvdrive.device.ElementType;
import dev.kvdrive.device.ReferenceDevice;
import dev.kvdrive.model.Golden;
import dev.kvdrive.model.Model;
import dev.kvdrive.model.ModelLoader;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Copies between host and device are few and large: each costs a GPU's driver microseconds. */
class StepCopiesTest {
  /** Parameters, changed frames; counters, chosen tokens, last uses of extents. */
  private static final int MOST = 5;

  private static final int STEPS = 40;

  @TempDir Path directory;

  @Test
  void aStepHasAFewWhateverLayersSeatsAndExtentsThereAre() {
    for (int seats = 1; seats <= 3; seats++) {
      EngineShape shape = EngineShape.tight(0.5).withSeats(seats);
      try (Model model = ModelLoader.open(Golden.file("llama3"), 0, ModelLoader.Verification.FULL);
          ReferenceDevice device =
              new ReferenceDevice(EngineTest.CAPACITY, Long.MAX_VALUE, ElementType.F32);
          ForwardPass pass =
              new ForwardPass(device, model, shape.settings(model.geometry(), device, directory))) {
        int[] all = new int[seats];
        for (int seat = 0; seat < seats; seat++) {
          all[seat] = seat;
          pass.prefill(seat, EngineTest.prompt(seat, 150));
        }
        for (int step = 0; step < STEPS; step++) {
          int before = device.copies();
          pass.step(all, EngineTest.prompt(step, seats));
          int logits = seats; // this harness looks at those of each row
          assertThat(device.copies() - before - logits)
              .as("copies of step %d with %d sequences", step, seats)
              .isLessThanOrEqualTo(MOST);
        }
      }
    }
  }
}
