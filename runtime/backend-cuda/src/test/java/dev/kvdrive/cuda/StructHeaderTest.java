package dev.kvdrive.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/**
 * The structs of kernels are declared once. After a change of {@link Structs} or {@link Constants}
 * write the header with {@code KVDRIVE_WRITE_HEADER=true} in the environment of this test and
 * {@code -Dexec.skip=true}, for the kernels are compiled before it runs.
 */
class StructHeaderTest {
  private static final Path HEADER = Path.of("src/main/cuda/structs.cuh");

  @Test
  void theHeaderOfTheKernelsIsThatOfTheDescription() throws IOException {
    if (Boolean.parseBoolean(System.getenv("KVDRIVE_WRITE_HEADER"))) {
      Files.writeString(HEADER, StructHeader.text());
    }
    assertThat(Files.readString(HEADER))
        .as("structs.cuh; KVDRIVE_WRITE_HEADER=true writes it")
        .isEqualTo(StructHeader.text());
  }

  /** Fields whose places need care. */
  private static final class Mixed extends Struct {
    final Field first = int32("first");
    final Field address = pointer("char*", "address");
    final Field numbers = floats("numbers", 3);
    final Field rows = struct(Structs.ROWS, "rows");
    final Field last = int32("last");

    Mixed() {
      super("Mixed");
    }
  }

  @Test
  void fieldsLieWhereCPlacesThem() {
    Mixed mixed = new Mixed();
    assertThat(mixed.first.offset()).isZero();
    assertThat(mixed.address.offset()).isEqualTo(8);
    assertThat(mixed.numbers.offset()).isEqualTo(16);
    assertThat(mixed.rows.offset()).isEqualTo(32);
    assertThat(mixed.last.offset()).isEqualTo(48);
    assertThat(mixed.size()).isEqualTo(56);
    assertThat(mixed.written()).isEqualTo(4 + 8 + 12 + 16 + 4);
  }

  @Test
  void everyFieldHasToBeWrittenAsWhatItIs() {
    Arguments arguments = new Arguments();
    Structs.Rows rows = Structs.ROWS;
    arguments.begin().put(rows.data, 1L);
    assertThatThrownBy(() -> arguments.end(rows))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("16 bytes, 8 were written");
    assertThat(arguments.put(rows.stride, 2L).end(rows)).isNotZero();
    assertThatThrownBy(() -> arguments.begin().put(rows.stride, 2))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("stride");
  }
}
