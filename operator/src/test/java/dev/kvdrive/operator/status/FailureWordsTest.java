package dev.kvdrive.operator.status;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.net.ConnectException;
import java.net.http.HttpTimeoutException;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.Test;

class FailureWordsTest {
  @Test
  void anAnswerThatDoesNotComeIsSaidToBeThat() {
    for (Throwable failure :
        new Throwable[] {
          new TimeoutException(),
          new KubernetesClientException("Operation: [patch] failed.", new TimeoutException()),
          new KubernetesClientException("x", new HttpTimeoutException("request timed out"))
        }) {
      assertThat(FailureWords.of(failure)).startsWith("the API server did not answer in time");
    }
  }

  @Test
  void anApiServerThatIsNotThereIsSaidToBeThat() {
    assertThat(FailureWords.of(new IOException("x", new ConnectException())))
        .isEqualTo("the API server cannot be reached");
  }

  @Test
  void aRefusalSpeaksForItselfWithoutAddressAndDump() {
    KubernetesClientException refused =
        new KubernetesClientException(
            "Failure executing: POST at: https://10.0.0.1/api. Message: no. Received status: Status(",
            403,
            new StatusBuilder().withReason("Forbidden").withMessage("no").build());

    assertThat(FailureWords.of(refused)).isEqualTo("Forbidden: no");
  }

  @Test
  void nothingIsNeverSaidToBeNull() {
    assertThat(FailureWords.of(new KubernetesClientException((String) null)))
        .doesNotContain("null")
        .contains("KubernetesClientException");
  }
}
