package dev.kvdrive.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** A JVM without the vector module gets one clear line, not a slow device. */
class WithoutVectorsTest {
  /** What the other JVM runs. */
  static final class Open {
    private Open() {}

    @SuppressWarnings("SystemOut")
    public static void main(String[] args) {
      try (CpuDevice device = CpuDevice.open(1 << 20, 1)) {
        System.out.println("opened " + device.description());
      } catch (RuntimeException e) {
        System.out.println(e.getMessage());
      }
    }
  }

  @Test
  void saysWhichFlagIsMissing() throws Exception {
    Process jvm =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Open.class.getName())
            .redirectErrorStream(true)
            .start();
    String said = new String(jvm.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(jvm.waitFor(1, TimeUnit.MINUTES)).isTrue();
    assertThat(said).contains("--add-modules jdk.incubator.vector").doesNotContain("opened");
  }
}
