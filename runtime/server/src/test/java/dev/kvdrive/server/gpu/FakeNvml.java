package dev.kvdrive.server.gpu;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;

/** The library of {@code fake-nvml.c}, compiled where there is a compiler. */
public final class FakeNvml {
  private final Path library;
  private final SymbolLookup symbols;

  private FakeNvml(Path library) {
    this.library = library;
    this.symbols = SymbolLookup.libraryLookup(library, Arena.global());
  }

  /** A new one, with a state of its own; the test ends where there is no compiler. */
  public static FakeNvml compile(Path folder) throws Exception {
    Path library = folder.resolve("libfake-nvml.so");
    Process gcc;
    try {
      gcc =
          new ProcessBuilder(
                  "gcc",
                  "-shared",
                  "-fPIC",
                  "-o",
                  library.toString(),
                  "src/test/resources/fake-nvml.c")
              .redirectErrorStream(true)
              .start();
    } catch (IOException e) {
      abort("gcc is not on the path");
      throw e;
    }
    String said = new String(gcc.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(gcc.waitFor()).as(said).isZero();
    return new FakeNvml(library);
  }

  /** Its cards, asked so often. */
  public Gpus gpus(Duration interval) {
    return Gpus.of(library.toString(), interval);
  }

  /** The cards of a machine without the library. */
  public static Gpus missing(Path folder) {
    return Gpus.of(folder.resolve("libnvidia-ml.so.1").toString(), Duration.ofDays(1));
  }

  /** Memory errors that ECC has corrected. */
  public void corrected(long errors) throws Throwable {
    function("fake_errors", FunctionDescriptor.ofVoid(JAVA_LONG)).invokeExact(errors);
  }

  /** From now on no card answers. */
  public void lose() throws Throwable {
    function("fake_lose", FunctionDescriptor.ofVoid(JAVA_INT)).invokeExact(1);
  }

  /** How often it was ended. */
  public int ends() throws Throwable {
    return (int) function("fake_ends", FunctionDescriptor.of(JAVA_INT)).invokeExact();
  }

  private MethodHandle function(String name, FunctionDescriptor descriptor) {
    MemorySegment symbol = symbols.find(name).orElseThrow();
    return Linker.nativeLinker().downcallHandle(symbol, descriptor);
  }
}
