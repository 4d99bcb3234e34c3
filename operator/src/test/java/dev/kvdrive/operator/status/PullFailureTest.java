package dev.kvdrive.operator.status;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Words as containerd 2.3 and CRI-O say them to a kubelet. */
class PullFailureTest {
  private static final String IMAGE = "registry.example.com:5000/models/tiny:1";

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "failed to resolve image: registry.example.com:5000/models/tiny:1: not found | push it",
        "reading manifest 1 in registry.example.com:5000/models/tiny: manifest unknown | push it",
        "failed commit on ref \"layer-sha256:401f\": unexpected commit digest sha256:503a, expected sha256:401f: failed precondition | push the image again",
        "failed to do request: Head \"http://registry.example.com:5000/v2/\": dial tcp 10.0.0.1:5000: connect: connection refused | does not reach",
        "dial tcp: lookup registry.example.com on 10.0.0.53:53: no such host | does not reach",
        "image pull failed for x because the registry is unavailable: unknown | does not reach",
        "unexpected status from HEAD request to http://registry.example.com:5000/v2/models/tiny/manifests/1: 503 Service Unavailable | does not reach",
        "failed to do request: Head \"https://registry.example.com:5000/v2/\": http: server gave HTTP response to HTTPS client | plain HTTP",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority | certificate",
        "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://registry.example.com:5000/token: 401 Unauthorized | pull secret",
        "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed | pull secret",
        "something that nobody has seen before, sha256:401503 | must have it",
      })
  void whatHelpsGoesByTheRuntimesWords(String words, String helps) {
    assertThat(PullFailure.wayOut("Pod a cannot start: " + words, IMAGE))
        .contains(helps)
        .contains("registry.example.com:5000")
        .doesNotContain("%");
  }
}
