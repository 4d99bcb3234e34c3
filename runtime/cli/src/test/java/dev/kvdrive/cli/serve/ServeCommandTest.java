package dev.kvdrive.cli.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvdrive.cli.option.RuntimeOptions;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class ServeCommandTest {
  @TempDir private Path folder;

  private static Map<String, String> settings(String... args) {
    ServeCommand command = new ServeCommand();
    CommandLine line = new CommandLine(command);
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.parseArgs(args);
    return command.settings();
  }

  @Test
  void leavesEverythingButAddressAndPageToTheRuntimeWhenNothingIsSaid() {
    assertThat(settings())
        .containsOnly(
            Map.entry("kvdrive.http.ui", "true"),
            Map.entry("kvdrive.served-model-name", "kvdrive-tiny-32k"),
            Map.entry("server.address", "127.0.0.1"),
            Map.entry("server.port", "8080"));
  }

  @Test
  void everyOptionBecomesASettingOfTheRuntime() {
    assertThat(
            settings(
                "--model",
                "hf://acme/model@main",
                "--chat-template",
                "chat.jinja",
                "--rope-scaling",
                "yarn",
                "--rope-factor",
                "4",
                "--rope-original-context",
                "32768",
                "--context",
                "65536",
                "--concurrency",
                "2",
                "--budget",
                "exact",
                "--policy",
                "kvdrive",
                "--index",
                "planes-96",
                "--kv-type",
                "bf16",
                "--resident",
                "int8",
                "--backing",
                "int8",
                "--windows",
                "by_reuse",
                "--window-warm-up",
                "32",
                "--prefetch",
                "--gpu",
                "2Gi",
                "--dram",
                "4Gi",
                "--nvme",
                "20Gi",
                "--nvme-writes-per-day",
                "500Gi",
                "--nvme-encryption",
                "aes-gcm",
                "--nvme-dir",
                "/mnt/nvme",
                "--threads",
                "3",
                "--name",
                "acme",
                "--host",
                "0.0.0.0",
                "--port",
                "9000",
                "--api-keys",
                "keys.txt",
                "--tls-certificate",
                "tls.crt",
                "--tls-key",
                "tls.key",
                "--client-ca",
                "ca.crt",
                "--health-port",
                "9001",
                "--cors-origin",
                "http://localhost:3000",
                "--cors-origin",
                "https://app.example.com",
                "--forget-prompts",
                "--access-log",
                "--no-ui"))
        .containsOnly(
            Map.entry("kvdrive.model.uri", "hf://acme/model@main"),
            Map.entry("kvdrive.model.chat-template", "chat.jinja"),
            Map.entry("kvdrive.model.rope-scaling.type", "yarn"),
            Map.entry("kvdrive.model.rope-scaling.factor", "4.0"),
            Map.entry("kvdrive.model.rope-scaling.original-context", "32768"),
            Map.entry("kvdrive.context-length", "65536"),
            Map.entry("kvdrive.concurrency", "2"),
            Map.entry("kvdrive.budget", "1.0"),
            Map.entry("kvdrive.policy", "kvdrive"),
            Map.entry("kvdrive.index", "planes-96"),
            Map.entry("kvdrive.kv-type", "BF16"),
            Map.entry("kvdrive.resident", "INT8"),
            Map.entry("kvdrive.backing", "INT8"),
            Map.entry("kvdrive.windows.division", "BY_REUSE"),
            Map.entry("kvdrive.windows.warm-up", "32"),
            Map.entry("kvdrive.windows.prefetch", "true"),
            Map.entry("kvdrive.tiers.gpu-bytes", Long.toString(2L << 30)),
            Map.entry("kvdrive.tiers.dram-bytes", Long.toString(4L << 30)),
            Map.entry("kvdrive.tiers.nvme-bytes", Long.toString(20L << 30)),
            Map.entry("kvdrive.tiers.nvme-writes-per-day", Long.toString(500L << 30)),
            Map.entry("kvdrive.tiers.nvme-encryption", "aes-gcm"),
            Map.entry("kvdrive.tiers.nvme-dir", "/mnt/nvme"),
            Map.entry("kvdrive.threads", "3"),
            Map.entry("kvdrive.served-model-name", "acme"),
            Map.entry("server.address", "0.0.0.0"),
            Map.entry("server.port", "9000"),
            Map.entry("kvdrive.api-keys-file", "keys.txt"),
            Map.entry("kvdrive.tls.certificate", "tls.crt"),
            Map.entry("kvdrive.tls.key", "tls.key"),
            Map.entry("kvdrive.tls.client-ca", "ca.crt"),
            Map.entry("kvdrive.tls.health-port", "9001"),
            Map.entry("kvdrive.http.cors-origins", "http://localhost:3000,https://app.example.com"),
            Map.entry("kvdrive.keep-prompts", "false"),
            Map.entry("kvdrive.http.access-log", "true"),
            Map.entry("kvdrive.http.ui", "false"));
  }

  @Test
  void aCollectorIsNamedWithOrWithoutWhereItTakesTraces() {
    for (String address :
        List.of("http://otel:4318", "http://otel:4318/", "http://otel:4318/v1/traces")) {
      assertThat(settings("--otlp-endpoint", address, "--trace-sampling", "10%"))
          .contains(
              Map.entry(
                  "management.opentelemetry.tracing.export.otlp.endpoint",
                  "http://otel:4318/v1/traces"),
              Map.entry("management.tracing.sampling.probability", "0.1"));
    }
  }

  @Test
  void budgetAutoIsAQualityAndABoundAndTheMeterAShareOfTheTime() {
    assertThat(settings("--budget", "auto", "--quality", "99%", "--meter", "off"))
        .doesNotContainKey("kvdrive.budget")
        .contains(
            Map.entry("kvdrive.quality", "0.99"),
            Map.entry("kvdrive.budget-bound", "0.25"),
            Map.entry("kvdrive.meter", "0.0"));
    assertThat(settings("--budget", "auto", "--budget-bound", "exact", "--meter", "5%"))
        .contains(
            Map.entry("kvdrive.quality", "0.95"),
            Map.entry("kvdrive.budget-bound", "1.0"),
            Map.entry("kvdrive.meter", "0.05"));
  }

  @Test
  void everySettingOfAnOptionIsNamedByIt() {
    CommandLine line = new CommandLine(new ServeCommand());
    assertThat(RuntimeOptions.FLAGS.values())
        .containsAll(
            line.getCommandSpec().options().stream()
                .map(option -> option.longestName())
                .filter(name -> !name.equals("--help") && !name.equals("--version"))
                .toList())
        .allMatch(name -> line.getCommandSpec().findOption(name) != null);
    assertThat(RuntimeOptions.FLAGS).containsKeys(settings().keySet().toArray(String[]::new));
  }

  @ParameterizedTest
  @CsvSource({
    "--rope-scaling yarn, --rope-scaling yarn alone does not extend a context; add for instance --rope-factor 4",
    "--rope-factor 2, --rope-factor 2.0 alone does not extend a context; add for instance --rope-scaling yarn",
    "--rope-original-context 4096, add for instance --rope-scaling yarn (or linear) --rope-factor 4",
    "--rope-scaling dynamic --rope-factor 4, not supported; use yarn or linear",
    "--rope-scaling yarn --rope-factor 1, above 1",
    "--rope-scaling yarn --rope-factor 4 --rope-original-context 0, at least 1",
  })
  void ropeScalingIsCompleteOrRefused(String options, String message) {
    assertThatThrownBy(() -> settings(options.split(" ")))
        .isInstanceOf(CommandLine.ParameterException.class)
        .hasMessageContaining(message);
  }

  @Test
  void theCallToCopyKnowsACertificateThatNobodyElseKnows() throws Exception {
    Path certificate = folder.resolve("tls.crt");
    URI address = URI.create("https://127.0.0.1:8443");
    Files.writeString(certificate, selfSigned("dns:localhost"));
    assertThat(CurlTls.of(address, certificate, false))
        .isEqualTo(
            new CurlTls(
                URI.create("https://localhost:8443"), "--cacert %s ".formatted(certificate)));
    Files.writeString(certificate, selfSigned("dns:kv.example"));
    assertThat(CurlTls.of(address, certificate, true))
        .isEqualTo(
            new CurlTls(
                URI.create("https://kv.example:8443"),
                "--cacert %s --resolve kv.example:8443:127.0.0.1 --cert CLIENT.crt --key CLIENT.key "
                    .formatted(certificate)));
    Files.writeString(certificate, selfSigned("ip:127.0.0.1"));
    CurlTls own = CurlTls.of(address, certificate, false);
    assertThat(own.address()).isEqualTo(address);
    assertThat(CurlCall.chat(own.address(), own.options(), "acme", false, "Hello"))
        .startsWith(
            "curl --cacert %s https://127.0.0.1:8443/v1/chat/completions".formatted(certificate));
  }

  /** A new certificate in PEM, by the JDK's own tool. */
  private String selfSigned(String alternative) throws Exception {
    Path store = folder.resolve(alternative.replace(':', '-'));
    String tool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
    String common = " -keystore %s -storepass changeit -alias own".formatted(store);
    run(
        tool
            + " -genkeypair -keyalg EC -groupname secp256r1 -dname CN=own -validity 2 -ext san="
            + alternative
            + common);
    return run(tool + " -exportcert -rfc" + common);
  }

  private static String run(String command) throws Exception {
    Process process =
        new ProcessBuilder(command.split(" "))
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    assertThat(process.waitFor()).as(command).isZero();
    return out;
  }

  @Test
  void theCallToCopyCarriesTheKeyWhereOneIsNeeded() {
    URI address = URI.create("http://127.0.0.1:8080");
    assertThat(CurlCall.chat(address, "", "acme", true, "Hello"))
        .contains("-H \"Authorization: Bearer $KVDRIVE_API_KEY\"")
        .contains("\"model\": \"acme\"");
    assertThat(CurlCall.chat(address, "", "acme", false, "Hello")).doesNotContain("Authorization");
  }
}
