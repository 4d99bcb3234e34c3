package dev.kvdrive.model.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.model.Golden;
import dev.kvdrive.model.ModelLoader;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelSourceTest {
  @TempDir Path folder;

  private ModelSource source() {
    return ModelSource.fromEnvironment(Map.of("KVDRIVE_CACHE", folder.resolve("cache").toString()));
  }

  @ParameterizedTest
  @CsvSource({
    "hf://org/repo,                        org/repo, main, ",
    "hf://org/repo@v1.0,                   org/repo, v1.0, ",
    "hf://org/repo@refs%2Fpr%2F3/a.gguf,   org/repo, refs/pr/3, a.gguf",
    "hf://Org_1/repo-2.5/Q8/a.gguf,        Org_1/repo-2.5, main, Q8/a.gguf",
  })
  void readsAddressesOfTheHub(String uri, String id, String revision, String file) {
    HubReference ref = HubReference.parse(uri);
    assertThat(ref.id()).isEqualTo(id);
    assertThat(ref.revision()).isEqualTo(revision);
    assertThat(ref.file()).isEqualTo(file);
    assertThat(ref).hasToString(uri);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "hf://",
        "hf://org",
        "hf://org/",
        "hf:///repo",
        "hf://org/repo@",
        "hf://org/repo/",
        "hf://org/repo/config.json",
        "hf://org/repo/../../secret.gguf",
        "hf://org/repo/a..b.gguf",
        "hf://../..",
        "hf://org/repo@..%2F..",
        "hf://org/repo@%zz",
        "hf://org/repo@a b",
        "hf://user:password@org/repo",
        "hf://org/repo?x=1",
        "https://example.org/model.gguf",
        "s3://bucket/model",
        "builtin:other",
        "",
        "   ",
        "no/such/file.gguf",
        "file:///no/such/file.gguf",
        "\0",
      })
  void refusesOtherAddressesClearly(String uri) {
    assertThatThrownBy(() -> source().resolve(uri))
        .isInstanceOfSatisfying(
            ModelSourceException.class, e -> assertThat(e.wayOut()).isNotBlank());
  }

  @Test
  void takesPathsAsTheyAre() {
    Path file = Golden.file("llama-k.gguf");
    assertThat(source().resolve(file.toString())).isEqualTo(file);
    assertThat(source().resolve(file.toUri().toString())).isEqualTo(file);
    assertThat(source().resolve(Golden.file("qwen3").toString())).isEqualTo(Golden.file("qwen3"));
    assertThat(source().geometry(file.toString())).isEqualTo(ModelLoader.geometry(file));
  }

  @Test
  void takesTheOneGgufFileOfAFolder() throws IOException {
    Path file = Files.write(folder.resolve("a.gguf"), new byte[1]);
    assertThat(source().resolve(folder.toString())).isEqualTo(file);
    Files.write(folder.resolve("b.gguf"), new byte[1]);
    assertThatThrownBy(() -> source().resolve(folder.toString())).hasMessageContaining("2 GGUF");
  }

  @Test
  void explainsALinkThatLeadsInACircle() throws IOException {
    Path a = folder.resolve("a");
    Files.createSymbolicLink(a, folder.resolve("b"));
    Files.createSymbolicLink(folder.resolve("b"), a);
    assertThatThrownBy(() -> source().resolve(a.toString())).hasMessageContaining("circle");
  }

  @Test
  void knowsTheBundledModel() throws IOException {
    Path file = source().resolve(ModelSource.BUILTIN);
    assertThat(HubFile.sha256(file)).isEqualTo(BundledModel.SHA256);
    assertThat(source().geometry(ModelSource.BUILTIN).maxContext()).isEqualTo(32_768);
  }

  @Test
  void copiesTheBundledModelOutOfAJarAndRepairsTheCopy() throws IOException {
    Path jar = folder.resolve("app.jar");
    Path original = source().resolve(ModelSource.BUILTIN);
    try (OutputStream out = Files.newOutputStream(jar);
        ZipOutputStream zip = new ZipOutputStream(out)) {
      zip.putNextEntry(new ZipEntry("models/model.gguf"));
      Files.copy(original, zip);
    }
    URL inside = URI.create("jar:" + jar.toUri() + "!/models/model.gguf").toURL();
    Path copy = BundledModel.copied(inside, folder.resolve("work"));
    assertThat(copy).hasSameBinaryContentAs(original);
    Files.write(copy, new byte[100]);
    assertThat(BundledModel.copied(inside, folder.resolve("work")))
        .isEqualTo(copy)
        .hasSameBinaryContentAs(original);
    try (var files = Files.list(folder.resolve("work"))) {
      assertThat(files).containsExactly(copy);
    }
  }

  @Test
  void neverShowsTheToken() {
    HubSettings settings =
        HubSettings.from(Map.of("HF_TOKEN", "hf_secret", "HF_ENDPOINT", "https://mirror.test/"));
    assertThat(settings.toString()).contains("mirror.test").doesNotContain("hf_secret");
  }

  @Test
  void refusesToSendATokenUnencrypted() {
    assertThatThrownBy(
            () ->
                HubSettings.from(
                    Map.of("HF_TOKEN", "hf_secret", "HF_ENDPOINT", "http://mirror.test")))
        .isInstanceOf(ModelSourceException.class)
        .hasMessageContaining("unencrypted")
        .hasMessageNotContaining("hf_secret");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"ftp://x", "https://", "not an address", "https://u:p@host", "huggingface.co"})
  void refusesOtherEndpoints(String endpoint) {
    assertThatThrownBy(() -> HubSettings.from(Map.of("HF_ENDPOINT", endpoint)))
        .isInstanceOf(ModelSourceException.class);
  }
}
