package dev.kvdrive.server.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Clients read causes and ways out, but no path and no class of the server. */
class ClientTextTest {
  private static final ClientText TEXT =
      new ClientText(List.of(Path.of("/data/my models/tiny.gguf"), Path.of("/mnt/fast disk/nvme")));

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '~',
      textBlock =
          """
          extent 7 is damaged; ask again                      | extent 7 is damaged; ask again
          read of /var/lib/kvdrive/nvme/extents-0: EIO        | read of [path]: EIO
          the file '/models/a.gguf' is cut short              | the file '[path]' is cut short
          (/models/a.gguf)                                    | ([path])
          cannot read ./models/a.gguf.                        | cannot read [path].
          file:/models/a.gguf                                 | file:[path]
          java.nio.file.NoSuchFileException: /models/a.gguf   | [path]
          java.io.IOException: No space left on device        | No space left on device
          write failed: IOException: broken                   | write failed: broken
          failed with dev.kvdrive.kv.tier.TierException       | failed with an internal error
          NullPointerException                                | an internal error
          opening /data/my models/tiny.gguf now               | opening [path] now
          no room in /mnt/fast disk/nvme/extents-1.bin: ENOSPC | no room in [path]: ENOSPC
          finding model hf://owner/Name-1.5@main              | finding model hf://owner/Name-1.5@main
          model owner/name needs 3.5 GiB at 12 tokens/s       | model owner/name needs 3.5 GiB at 12 tokens/s
          failed I/O, and/or 1 / 2 seats; see https://a.example/b | failed I/O, and/or 1 / 2 seats; see https://a.example/b
          """)
  void hidesWhatIsTheServersOwn(String text, String shown) {
    assertThat(TEXT.of(text)).isEqualTo(shown);
  }

  @Test
  void keepsNothingOfAPathWithSpaces() {
    assertThat(TEXT.of("extents in /mnt/fast disk/nvme cannot be written"))
        .isEqualTo("extents in [path] cannot be written");
  }
}
