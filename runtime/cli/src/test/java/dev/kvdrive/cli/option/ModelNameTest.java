package dev.kvdrive.cli.option;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelNameTest {
  @ParameterizedTest
  @CsvSource({
    "builtin:kvdrive-tiny-32k, kvdrive-tiny-32k",
    "hf://acme/model, acme/model",
    "hf://acme/model@v1, acme/model",
    "hf://acme/model@v1/file.gguf, acme/model",
    "models/small.gguf, small",
    "/models/folder/, folder",
    "., .",
  })
  void isTheOneThatPeopleKnow(String uri, String name) {
    assertThat(ModelName.of(uri)).isEqualTo(name);
  }
}
